/// What a request, note or event is about: the `aux` of its header. See proto/local.md.
public enum LocalOperation: UInt16, Sendable, Hashable, CaseIterable {
  case hello = 1, bye, peerLost, nodeLost
  case lease = 10, leaseCancel, leaseReturn, recall, blocked, unblocked
  case actorCreate = 20, actor, actorWatch, actorNamed, actorNames, actorKill, actorRelease
  case actorReady = 27, exiting, assign
  case groupCreate = 30, groupWait, groupRemove, groupTable, groupNamed
  case alloc = 40, seal, abort, pin, unpin, free
  case nodes = 50, resources, list, report, metric
  case log = 60
  case fork = 70, forked, exited, output, progress, environmentFailed, stop, condemned
}
