internal import Foundation
internal import IorunContent
internal import IorunContract
internal import IorunCore
internal import IorunWire

/// The hub as the head and other nodes' hubs call it: brings each call to the hub's thread and its
/// outcome back.
struct HubBridge: BridgeService, ObjectService {
  let mailbox: HubMailbox
  let head: PeerID
  var files: DriverFiles

  private func fromHead(_ caller: PeerID) throws {
    guard caller == head else {
      throw IorunError(.notAllowed, "only the network's head may do this to a node")
    }
  }

  /// Ranks of the network can call too: only nodes that the head has named are hubs.
  private func fromNode(_ caller: PeerID) async throws {
    if caller == head { return }
    let node = NodeID(caller)
    if try await mailbox.ask({ $0.nodes.knows(node) }) { return }
    // A node that has come since the head told last.
    let known = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<[ClusterNode], any Error>) in
      let accepted = mailbox.post { hub in
        hub.callHead {
          try await $0.clusterNodes()
        } done: { hub, result in
          if case .success(let nodes) = result { hub.nodes.take(nodes) }
          continuation.resume(with: result)
        }
      }
      if !accepted { continuation.resume(throwing: HubMailbox.stopped) }
    }
    guard known.contains(where: { $0.node == node }) else {
      throw IorunError(.notAllowed, "peer \(caller.short) is no node of this network")
    }
  }

  // MARK: The head

  func grantLease(_ demand: RuntimeDemand, job: RuntimeJob, holder: ProcessAddress, caller: PeerID)
    async throws -> RuntimeLease
  {
    try fromHead(caller)
    return try await withCheckedThrowingContinuation { continuation in
      let accepted = mailbox.post { hub in
        hub.grantLease(demand, job: job, holder: holder) { continuation.resume(with: $0) }
      }
      if !accepted { continuation.resume(throwing: HubMailbox.stopped) }
    }
  }

  func returnLease(_ lease: UInt64, holder: ProcessAddress, broken: Bool, caller: PeerID)
    async throws
  {
    try await fromNode(caller)
    guard caller == head || NodeID(caller) == holder.node else {
      throw IorunError(.notAllowed, "a node gives back its own processes' leases only")
    }
    try await mailbox.ask {
      $0.scheduler.returned(lease, holder: holder.worker, isBroken: broken, $0)
    }
  }

  func startActor(
    _ spec: RuntimeActorSpec, incarnation: Int, restarts: Int, job: RuntimeJob, caller: PeerID
  ) async throws -> WorkerID {
    try fromHead(caller)
    return try await mailbox.ask {
      try $0.startActor(spec, incarnation: incarnation, restarts: restarts, record: job)
    }
  }

  func stopActor(_ actor: RuntimeActorID, reason: ProcessLoss, inOrder: Bool, caller: PeerID)
    async throws
  {
    try fromHead(caller)
    try await mailbox.ask { $0.stopActor(actor, reason: reason, inOrder: inOrder) }
  }

  func actorChanged(_ status: RuntimeActorStatus, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask { _ = $0.take(status) }
  }

  func prepareBundles(_ reservation: BundleReservation, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask { try $0.scheduler.prepareBundles(reservation, $0) }
  }

  func commitBundles(_ group: GroupID, epoch: Int64, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask {
      try $0.scheduler.commitBundles(group, epoch: epoch, $0)
    }
  }

  func releaseBundles(_ group: GroupID, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask { $0.releaseBundles(group) }
  }

  func recall(sole: ProcessAddress?, caller: PeerID) async throws {
    try await fromNode(caller)
    try await mailbox.ask { $0.recallAll(sole: sole) }
  }

  func endJob(_ job: JobID, reason: String, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask { $0.endJob(job, reason: reason) }
  }

  func nodeLost(_ node: NodeID, reason: String, caller: PeerID) async throws {
    try fromHead(caller)
    try await mailbox.ask { $0.nodeLost(node, reason: reason) }
  }

  // MARK: Other nodes

  func deliver(_ job: JobID, _ segment: Data, caller: PeerID) async throws {
    try await fromNode(caller)
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      let accepted = mailbox.post { hub in
        do {
          try hub.received(segment, of: job, from: NodeID(caller)) { continuation.resume() }
        } catch {
          continuation.resume(throwing: error)
        }
      }
      if !accepted { continuation.resume(throwing: HubMailbox.stopped) }
    }
  }

  func echo(caller: PeerID) async throws { try await fromNode(caller) }

  func processLost(_ job: JobID, _ process: ProcessAddress, _ cause: ProcessLoss, caller: PeerID)
    async throws
  {
    try await fromNode(caller)
    guard process.node == NodeID(caller) else {
      throw IorunError(.notAllowed, "a node speaks for its own processes only")
    }
    try await mailbox.ask { hub in
      if let job = hub.jobs[job] { hub.goneElsewhere(process, of: job, cause) }
    }
  }

  func fetch(_ job: JobID, object: Data, offset: Int64, count: Int, caller: PeerID) async throws
    -> Data
  {
    try await fromNode(caller)
    guard let object = ObjectID(bytes: object), offset >= 0, count > 0,
      count <= Int(ObjectPull.chunkBytes)
    else { throw IorunError(.malformed, "a node asked for a part of an object that cannot be") }
    let node = NodeID(caller)
    let (file, base, size) = try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<(ArenaFile, offset: Int64, size: Int64), any Error>) in
      let accepted = mailbox.post { hub in
        hub.hold(object, of: job, for: node) { continuation.resume(with: $0) }
      }
      if !accepted { continuation.resume(throwing: HubMailbox.stopped) }
    }
    defer { mailbox.post { $0.letGo(object, of: job) } }
    guard offset <= size - Int64(count), let bytes = file.bytes(base + offset, Int64(count)) else {
      throw IorunError(.malformed, "a node asked for bytes beyond the end of object \(object)")
    }
    return Data(bytes)
  }

  func program(_ job: JobID, caller: PeerID) async throws -> Blob {
    try await fromNode(caller)
    return try await files.program(of: job)
  }

  func workingFolder(_ job: JobID, environment: String, caller: PeerID) async throws -> Blob {
    try await fromNode(caller)
    return try await files.workingFolder(of: job, environment: environment)
  }

  func free(_ job: JobID, objects: [Data], caller: PeerID) async throws {
    try await fromNode(caller)
    try await mailbox.ask { hub in
      if let job = hub.jobs[job] { hub.freed(objects, of: job) }
    }
  }

  func list(_ kind: String, job: JobID?, limit: Int, caller: PeerID) async throws -> String {
    try await fromNode(caller)
    let items = try await mailbox.ask {
      try $0.listing(kind, job: job, limit: min(max(1, limit), Hub.listLimit))
    }
    return "[" + items.joined(separator: ",") + "]"
  }
}
