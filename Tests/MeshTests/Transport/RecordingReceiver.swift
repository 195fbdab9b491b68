import IorunCore
import IorunMesh
import Synchronization

/// Keeps what a transport delivered, and gives the credit back at once.
final class RecordingReceiver: TransportReceiver {
  struct State {
    var payloads: [InboundPayload] = []
    var lost: [(peer: PeerID, error: IorunError)] = []
  }

  private let state = Mutex(State())
  private let transport: any MeshTransport
  private let answer: (@Sendable (InboundPayload) -> [UInt8]?)?

  init(
    _ transport: any MeshTransport, answer: (@Sendable (InboundPayload) -> [UInt8]?)? = nil
  ) {
    self.transport = transport
    self.answer = answer
    transport.start(self)
  }

  var payloads: [InboundPayload] { state.withLock { $0.payloads } }
  var lost: [(peer: PeerID, error: IorunError)] { state.withLock { $0.lost } }

  func received(_ batch: [InboundPayload]) {
    state.withLock { $0.payloads += batch }
    for payload in batch {
      transport.consumed(payload.bytes.count, from: payload.peer, in: payload.trafficClass)
      if let bytes = answer?(payload) {
        try? transport.send(bytes, to: payload.peer, in: payload.trafficClass)
      }
    }
  }

  func peerLost(_ peer: PeerID, _ error: IorunError) {
    state.withLock { $0.lost.append((peer, error)) }
  }

  func tick(now: MonotonicTime) {}
}
