internal import IorunCore
internal import IorunMesh
internal import IorunWire

/// A call from another peer on its way to its actor.
struct InboundCall: Sendable {
  /// The calling process's address, to which the answer goes.
  let caller: PeerID
  /// Whose process that is: what the method sees as its caller.
  let principal: PeerID
  let trafficClass: TrafficClass
  /// What the call took of the caller's credit; given back when it has been executed.
  let byteCount: Int
  let call: Envelope.Call
  /// When its caller stops waiting, by this process's clock.
  let deadline: ContinuousClock.Instant

  init(_ call: Envelope.Call, _ payload: InboundPayload) {
    caller = payload.peer
    principal = payload.principal
    trafficClass = payload.trafficClass
    byteCount = payload.bytes.count
    self.call = call
    deadline = .now + .milliseconds(call.timeoutMilliseconds)
  }
}
