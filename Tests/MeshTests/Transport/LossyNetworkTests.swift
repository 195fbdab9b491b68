import IorunCore
import IorunMesh
import IorunWire
import TestSupport
import Testing

/// The promise of the mesh under random faults: every payload arrives once and in order, or the
/// sender hears that the peer was lost.
struct LossyNetworkTests {
  /// Sends at random between `peers` peers for a while; returns the first broken promise.
  private func run(seed: UInt64, peers count: Int) throws -> String? {
    var generator = SeededGenerator(seed: seed)
    let network = InProcessNetwork()
    let peers = (0..<count).map { PeerID(high: UInt64($0), low: UInt64($0 + 1)) }
    var endpoints: [PeerID: InProcessEndpoint] = [:]
    var receivers: [PeerID: RecordingReceiver] = [:]
    for peer in peers {
      let endpoint = network.join(peer)
      endpoints[peer] = endpoint
      receivers[peer] = RecordingReceiver(endpoint)
    }
    network.setFaults(
      .init(
        seed: seed, loss: Double.random(in: 0...0.2, using: &generator),
        duplication: Double.random(in: 0...0.2, using: &generator)))
    var sent: [String: UInt32] = [:]
    func flow(_ from: PeerID, _ to: PeerID, _ trafficClass: TrafficClass) -> String {
      "\(from.low)>\(to.low) \(trafficClass)"
    }
    for _ in 0..<150 {
      let pair = peers.shuffled(using: &generator)
      switch Int.random(in: 0..<20, using: &generator) {
      case 0: network.setCut(true, between: pair[0], and: pair[1])
      case 1...2: network.setCut(false, between: pair[0], and: pair[1])
      default:
        let trafficClass = try #require(
          TrafficClass.allCases.randomElement(using: &generator))
        let name = flow(pair[0], pair[1], trafficClass)
        for _ in 0..<Int.random(in: 1...8, using: &generator) {
          let number = sent[name, default: 0] + 1
          sent[name] = number
          let payload =
            (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
            + [UInt8](repeating: 0, count: Int.random(in: 0...2000, using: &generator))
          try endpoints[pair[0]]?.send(payload, to: pair[1], in: trafficClass)
        }
      }
      network.advance(by: .milliseconds(Int.random(in: 0...300, using: &generator)))
    }
    for (index, peer) in peers.enumerated() {
      for other in peers.dropFirst(index + 1) { network.setCut(false, between: peer, and: other) }
    }
    network.setFaults(.init(seed: 0, loss: 0, duplication: 0))
    network.advance(by: .seconds(12))
    for peer in peers {
      var arrived: [String: [UInt32]] = [:]
      for payload in receivers[peer]?.payloads ?? [] {
        let number = payload.bytes.prefix(4).reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        arrived[flow(payload.peer, peer, payload.trafficClass), default: []].append(number)
      }
      for (name, numbers) in arrived where zip(numbers, numbers.dropFirst()).contains(where: >=) {
        return "\(name): out of order or twice: \(numbers)"
      }
      for other in peers where other != peer {
        let wasLost =
          [(other, peer), (peer, other)].contains { one, two in
            receivers[one]?.lost.contains { $0.peer == two } ?? true
          }
        for trafficClass in TrafficClass.allCases {
          let name = flow(other, peer, trafficClass)
          let numbers = arrived[name] ?? []
          if !wasLost, numbers.count != Int(sent[name] ?? 0) {
            return "\(name): \(numbers.count) of \(sent[name] ?? 0) arrived, and nobody was lost"
          }
        }
      }
    }
    return nil
  }

  @Test(
    "between two peers every payload arrives once, in order",
    arguments: 1...25 as ClosedRange<UInt64>)
  func twoPeers(seed: UInt64) throws {
    let fault = try run(seed: seed, peers: 2)
    #expect(fault == nil, "seed \(seed)")
  }

  @Test(
    "among three peers every payload arrives once, in order",
    arguments: 100...115 as ClosedRange<UInt64>)
  func threePeers(seed: UInt64) throws {
    let fault = try run(seed: seed, peers: 3)
    #expect(fault == nil, "seed \(seed)")
  }

  @Test func `a peer that left and came back is another, and both can talk`() throws {
    let network = InProcessNetwork()
    let anna = network.join(.anna)
    let atAnna = RecordingReceiver(anna)
    let bert = network.join(.bert)
    _ = RecordingReceiver(bert)
    try anna.send([1], to: .bert, in: .actor)
    network.leave(.bert)
    let again = network.join(.bert)
    let atAgain = RecordingReceiver(again)
    #expect(atAnna.lost.map(\.error.code) == [.peerLost])
    try anna.send([2], to: .bert, in: .actor)
    #expect(atAgain.payloads.map(\.bytes) == [[2]])
  }

  @Test func `a payload over the limit is refused by the sender`() {
    let network = InProcessNetwork()
    let anna = network.join(.anna)
    #expect {
      try anna.send(
        [UInt8](repeating: 0, count: WireLimits.payloadBytes + 1), to: .bert, in: .bulk)
    } throws: { ($0 as? IorunError)?.code == .tooLarge }
  }

  @Test func `a peer that is not there is unreachable after ten seconds`() throws {
    let network = InProcessNetwork()
    let anna = network.join(.anna)
    let receiver = RecordingReceiver(anna)
    try anna.send([1], to: .carl, in: .actor)
    network.advance(by: .milliseconds(9900))
    #expect(receiver.lost.isEmpty)
    network.advance(by: .milliseconds(200))
    #expect(receiver.lost.map(\.error.code) == [.unreachable])
  }
}
