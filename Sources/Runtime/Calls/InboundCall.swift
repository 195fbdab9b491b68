internal import IorunCore
internal import IorunWire

/// A call from another peer on its way to its actor.
struct InboundCall: Sendable {
  let caller: PeerID
  let trafficClass: TrafficClass
  /// What the call took of the caller's credit; given back when it has been executed.
  let byteCount: Int
  let call: Envelope.Call
}
