import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunMesh

/// The decoder behind the seal: a peer that is let in may still seal what it likes.
struct SealedContentTests {
  private let outer = Packet(
    source: PeerID(high: 1, low: 2), destination: PeerID(high: 3, low: 4), sourceIncarnation: 5,
    destinationIncarnation: 6, kind: .sealed(counter: 1, content: []), trafficClass: .control)

  @Test func `changed bytes are refused, or read as a packet between the same two peers`()
    throws
  {
    var data = outer
    data.kind = .data(sequence: 9, payload: [1, 2, 3])
    data.trafficClass = .bulk
    (data.acknowledged, data.creditLimit) = (7, .max)
    var word = data
    word.kind = .acknowledge
    let samples = try [data, word].map { try #require(SealedContent.encode($0)) }
    #expect(SealedContent.decode(samples[0], of: outer) == data)
    #expect(SealedContent.decode(samples[1], of: outer) == word)
    var random = SeededGenerator(seed: 20_261_129)
    var (taken, refused) = (0, 0)
    for round in 0..<20_000 {
      var bytes = samples[round % 2]
      for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
        switch Int.random(in: 0..<3, using: &random) {
        case 0:
          bytes[Int.random(in: bytes.indices, using: &random)] = .random(
            in: .min ... .max, using: &random)
        case 1: bytes.removeLast(Int.random(in: 0...bytes.count, using: &random))
        default: bytes += random.bytes(Int.random(in: 0...40, using: &random))
        }
      }
      if let packet = SealedContent.decode(bytes, of: outer) {
        taken += 1
        #expect(SealedContent.encode(packet) == bytes || packet.kind == .acknowledge)
        #expect(packet.source == outer.source && packet.destination == outer.destination)
      } else {
        refused += 1
      }
    }
    #expect(taken > 100 && refused > 100, "\(taken) taken, \(refused) refused")
  }
}
