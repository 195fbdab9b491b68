public import Distributed
internal import IorunCore
internal import IorunMesh
internal import IorunWire
internal import Logging

extension MeshActorSystem {
  /// Calls a method of an actor at another peer and waits for its value.
  ///
  /// - Throws: what the method throws; `peerLost`, `timedOut`, `unreachable`, `overloaded` or
  ///   `tooLarge` where the call itself fails; `CancellationError` when the task is cancelled.
  public func remoteCall<Act, Err, Res>(
    on actor: Act, target: RemoteCallTarget, invocation: inout CallEncoder,
    throwing: Err.Type, returning: Res.Type
  ) async throws -> Res
  where
    Act: DistributedActor, Act.ID == ActorID, Err: Error, Res: Codable & Sendable
  {
    switch try await call(actor.id, Act.self, target, invocation.arguments) {
    case .value(let bytes):
      return try CBORDecoder.decode(Res.self, from: bytes, userInfo: [.actorSystemKey: self])
    case .nothing:
      throw IorunError(.malformed, "\(actor.id) answered without the value that it owes")
    case .failure(let failure): throw errors.decode(failure)
    }
  }

  /// Calls a `Void` method of an actor at another peer and waits for its end.
  ///
  /// - Throws: as `remoteCall`.
  public func remoteCallVoid<Act, Err>(
    on actor: Act, target: RemoteCallTarget, invocation: inout CallEncoder, throwing: Err.Type
  ) async throws where Act: DistributedActor, Act.ID == ActorID, Err: Error {
    if case .failure(let failure) = try await call(
      actor.id, Act.self, target, invocation.arguments)
    {
      throw errors.decode(failure)
    }
  }

  private func call<Act: DistributedActor>(
    _ actor: ActorID, _ type: Act.Type, _ target: RemoteCallTarget, _ arguments: [UInt8]
  ) async throws -> Envelope.Outcome {
    let trafficClass = (Act.self as? any MailboxTraits.Type)?.trafficClass ?? .actor
    let timeout = Self.callTimeout
    let id = calls.nextID()
    let payload = try EnvelopeCodec.encode(
      .call(
        Envelope.Call(
          id: id, actor: actor.name, target: target.identifier, arguments: arguments,
          timeoutMilliseconds: Self.milliseconds(timeout))))
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { answer in
        calls.insert(id, peer: actor.peer, timeout: timeout, answer: answer)
        do {
          try transport.send(payload, to: actor.peer, in: trafficClass)
          // The handler below may have run before there was anything to cancel.
          if Task.isCancelled { cancel(id, of: actor, in: trafficClass) }
        } catch {
          calls.fail(id, error)
        }
      }
    } onCancel: {
      cancel(id, of: actor, in: trafficClass)
    }
  }

  /// Rounded up, so that no wait becomes none.
  private static func milliseconds(_ timeout: Duration) -> UInt32 {
    UInt32(clamping: Int64((timeout / .milliseconds(1)).rounded(.up)))
  }

  private func cancel(_ id: UInt64, of actor: ActorID, in trafficClass: TrafficClass) {
    guard calls.fail(id, CancellationError()) else { return }
    do {
      try transport.send(
        EnvelopeCodec.encode(.cancel(id: id, actor: actor.name)), to: actor.peer, in: trafficClass)
    } catch {
      logger.debug("a cancellation was not sent", metadata: ["error": "\(error)"])
    }
  }

  /// Sends a call's outcome to its caller.
  func reply(to call: InboundCall, _ outcome: Envelope.Outcome) throws {
    let payload: [UInt8]
    do {
      payload = try EnvelopeCodec.encode(.reply(id: call.call.id, outcome))
    } catch {
      // The result does not fit: the caller must hear that rather than nothing.
      payload = try EnvelopeCodec.encode(
        .reply(id: call.call.id, .failure(errors.encode(error))))
    }
    try transport.send(payload, to: call.caller, in: call.trafficClass)
  }
}
