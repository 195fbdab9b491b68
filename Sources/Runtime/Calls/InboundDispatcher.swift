internal import Distributed
internal import IorunCore
internal import IorunMesh
internal import IorunWire
internal import Logging

/// Takes payloads off the transport's thread: answers go to their callers, calls to mailboxes.
struct InboundDispatcher: TransportReceiver {
  let system: MeshActorSystem

  func received(_ batch: [InboundPayload]) {
    for payload in batch {
      do {
        switch try EnvelopeCodec.decode(payload.bytes) {
        case .reply(let id, let outcome):
          system.calls.complete(id, from: payload.peer, outcome)
          consumed(payload)
        case .call(let call):
          dispatch(call, payload)
        case .cancel(let id, let actor):
          system.local(actor)?.mailbox.cancel(id, of: payload.peer)
          consumed(payload)
        }
      } catch {
        // An admitted peer sent what no peer sends. It gets no answer, as there is no call to
        // answer; its call ends at its deadline.
        system.logger.warning(
          "a payload was refused", metadata: ["peer": "\(payload.peer)", "error": "\(error)"])
        consumed(payload)
      }
    }
  }

  func peerLost(_ peer: PeerID, _ error: IorunError) { system.calls.failAll(to: peer, error) }

  func tick(now: MonotonicTime) { system.calls.sweep(now: .now) }

  private func dispatch(_ call: Envelope.Call, _ payload: InboundPayload) {
    let inbound = InboundCall(call, payload)
    guard let (actor, mailbox) = system.local(call.actor) else {
      consumed(payload)
      system.refuse(
        inbound, IorunError(.actorNotFound, "no actor named '\(call.actor.prefix(64))' is here"))
      return
    }
    mailbox.append(inbound, for: actor)
  }

  private func consumed(_ payload: InboundPayload) {
    system.transport.consumed(
      payload.bytes.count, from: payload.peer, in: payload.trafficClass)
  }
}

extension MeshActorSystem {
  /// Executes a call and sends its outcome.
  func execute(_ inbound: InboundCall, on actor: any DistributedActor) async {
    defer { transport.consumed(inbound.byteCount, from: inbound.caller, in: inbound.trafficClass) }
    do {
      guard let method = try methods.method(inbound.call.target, of: type(of: actor)) else {
        var decoder = CallDecoder(arguments: inbound.call.arguments, system: self)
        return try await executeDistributedTarget(
          on: actor, target: RemoteCallTarget(inbound.call.target), invocationDecoder: &decoder,
          handler: CallResultHandler(system: self, call: inbound))
      }
      let value = try await method.call(on: actor, MeshCallCoding(call: inbound.call, system: self))
      try reply(to: inbound, value.map { .value($0) } ?? .nothing)
    } catch  where error is ExecuteDistributedTargetError {
      refuse(inbound, IorunError.noSuchMethod(of: inbound.call.actor, cause: error))
    } catch {
      refuse(inbound, error)
    }
  }

  /// Answers a call with an error.
  func refuse(_ inbound: InboundCall, _ error: any Error) {
    do {
      try reply(to: inbound, .failure(errors.encode(error)))
    } catch {
      logger.warning(
        "a reply was not sent",
        metadata: ["caller": "\(inbound.caller)", "error": "\(error)"])
    }
  }

  /// A call that nobody waits for was not executed.
  func dropped(_ inbound: InboundCall) {
    transport.consumed(inbound.byteCount, from: inbound.caller, in: inbound.trafficClass)
  }
}

extension IorunError {
  /// A call names a method that the actor does not have: the peers were built from other sources.
  static func noSuchMethod(of actor: String, cause: (any Error)? = nil) -> IorunError {
    IorunError(
      .targetNotFound, "the call does not fit any method of '\(actor.prefix(64))'",
      remedy: "Run the same release of iorun on both peers", cause: cause)
  }
}
