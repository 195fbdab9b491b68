internal import IorunCore
internal import IorunWire

/// Takes what other processes of the job say.
struct FrameDispatcher: Sendable {
  unowned let process: ClusterProcess

  /// One frame.
  ///
  /// - Throws: `malformed` where no process of this release sends such a frame.
  func received(_ frame: LocalFrame, from peer: Peer) throws {
    let number = frame.header.number
    switch frame.header.kind {
    case .call: try process.actors.called(frame, from: peer)
    case .reply: process.replies.complete(number, from: peer.address.worker, try reply(frame))
    case .task: process.runner.append(try InboundTask(frame, from: peer, in: process))
    case .taskDone: try process.tasks.done(frame, from: peer)
    case .cancelCall:
      var cursor = FrameCursor(frame.body)
      process.actors.hosted(try cursor.id(RuntimeActorID.self))?
        .cancel(number, of: peer.address.worker)
    case .createActor: try create(frame, from: peer)
    case .releaseActor:
      var cursor = FrameCursor(frame.body)
      let hosted = process.actors.hosted(try cursor.id(RuntimeActorID.self))
      if frame.header.flags & 1 == 0 {
        hosted?.release()
      } else {
        hosted?.end(IorunError(.actorNotFound, "the actor was killed"))
      }
    case .leaseInfo:
      var cursor = FrameCursor(frame.body)
      try process.gpus.take(&cursor)
    case .steal: try process.runner.steal(number, by: peer)
    case .stolen: try process.tasks.stolen(frame, from: peer)
    case .fetch: try fetch(frame, from: peer)
    case .borrow:
      var cursor = FrameCursor(frame.body)
      process.objects.borrowed(try cursor.object(), by: try cursor.id(WorkerID.self))
    case .unborrow:
      var cursor = FrameCursor(frame.body)
      process.objects.unborrowed(
        try cursor.object(), by: peer.address.worker, receipts: try cursor.integer(UInt64.self))
    case .streamItem: try process.tasks.streamed(frame)
    case .streamCredit:
      var cursor = FrameCursor(frame.body)
      process.runner.credited(
        InboundTask.Key(owner: peer.address.worker, number: number),
        try cursor.integer(UInt64.self))
    case .cancelTask:
      process.runner.cancel(
        InboundTask.Key(owner: peer.address.worker, number: number),
        force: frame.header.flags & 1 != 0, recursive: frame.header.flags & 2 != 0)
    default:
      throw IorunError(.malformed, "a process sent a frame of kind \(frame.header.kind.rawValue)")
    }
  }

  private func reply(_ frame: LocalFrame) throws -> PeerReply {
    var cursor = FrameCursor(frame.body)
    switch frame.header.aux {
    case ReplyKind.value: return .value(try Payload(&cursor, in: process))
    case ReplyKind.nothing: return .nothing
    case ReplyKind.failure: return .failure(try Envelope.RemoteFailure(&cursor))
    case ReplyKind.stored: return .stored(try StoredObject(&cursor, in: process))
    default: throw IorunError(.malformed, "an answer of kind \(frame.header.aux)")
    }
  }

  private func create(_ frame: LocalFrame, from peer: Peer) throws {
    var cursor = FrameCursor(frame.body)
    let actor = try cursor.id(RuntimeActorID.self)
    let concurrency = Int(try cursor.integer(UInt32.self))
    let type = try cursor.text()
    process.actors.make(
      actor, type: type, concurrency: concurrency, start: try Payload(&cursor, in: process),
      creator: peer.address.worker, isListed: false)
  }

  /// Another process asks for an object of ours; it is answered when the object is there.
  private func fetch(_ frame: LocalFrame, from peer: Peer) throws {
    var cursor = FrameCursor(frame.body)
    let id = try cursor.object()
    let number = frame.header.number
    let process = process
    guard let handle = process.objects.lent(id) else {
      let error = IorunError(.notFound, "object \(id) has been freed, or never was")
      return process.answer(number, .failure(process.errors.encode(error)), to: peer)
    }
    let answer = { @Sendable [weak handle] in
      guard let outcome = handle?.outcome else { return }
      switch outcome {
      case .value(let payload): process.answer(number, .value(payload), to: peer)
      case .stored(let object): process.answer(number, .stored(object), to: peer)
      case .failure(let failure): process.answer(number, .failure(failure), to: peer)
      }
    }
    // Whoever asks did not find it: it is made again, or has the same fate for all.
    if frame.header.flags & 1 != 0, case .stored? = handle.outcome,
      !process.tasks.reconstruct(handle)
    {
      let error = IorunError(
        .objectLost, "object \(id) is lost, and no task can make it again",
        remedy: "Keep what was put in more than one place, or make it by a task")
      return process.answer(number, .failure(process.errors.encode(error)), to: peer)
    }
    if handle.whenReady(answer) == nil { answer() }
  }
}
