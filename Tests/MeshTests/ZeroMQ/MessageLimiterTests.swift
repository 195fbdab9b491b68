import IorunCore
import IorunWire
import Synchronization
import Testing

@testable import IorunMesh

struct MessageLimiterTests {
  private let start = MonotonicTime(nanoseconds: 0)
  private let anna: PeerID
  private let bert: PeerID
  private let here = Array("203.0.113.7".utf8)
  private let there = Array("203.0.113.8".utf8)
  private let limits: MessageLimiter.Limits

  init() throws {
    anna = try CurveKey().peer
    bert = try CurveKey().peer
    var limits = MessageLimiter.Limits()
    limits.peer = .init(
      messages: .init(burst: 100, perSecond: 10), bytes: .init(burst: 10_000, perSecond: 1000))
    limits.address = .init(
      messages: .init(burst: 250, perSecond: 25), bytes: .init(burst: 25_000, perSecond: 2500))
    self.limits = limits
  }

  /// How many messages in a row are taken, of at most 10,000.
  private func count(
    _ limiter: inout MessageLimiter, _ peer: PeerID, at address: [UInt8], frames: Int = 1,
    bytes: Int = 1, now: MonotonicTime
  ) -> Int {
    let sender = limiter.sender(peer, at: address)
    var taken = 0
    while taken < 10_000, limiter.verdict(on: sender, now: now) == .taken {
      limiter.took(messages: frames, bytes: bytes, from: sender)
      taken += 1
    }
    return taken
  }

  @Test func `a peer has a burst of messages and of bytes, and more with time`() {
    var limiter = MessageLimiter(limits)
    #expect(count(&limiter, anna, at: here, now: start) == 100)
    #expect(count(&limiter, anna, at: there, now: start) == 0, "over all of its addresses")
    #expect(count(&limiter, bert, at: here, now: start) == 100, "another is not held up")
    #expect(count(&limiter, anna, at: here, now: start + .seconds(2)) == 20)
    var other = MessageLimiter(limits)
    #expect(count(&other, anna, at: here, bytes: 1000, now: start) == 10)
    #expect(count(&other, anna, at: here, bytes: 1000, now: start + .seconds(2)) == 2)
  }

  @Test func `frames count, not the messages that they came in, and what was too much is owed`() {
    var limiter = MessageLimiter(limits)
    #expect(count(&limiter, anna, at: here, frames: 60, now: start) == 2)
    #expect(count(&limiter, anna, at: here, now: start + .seconds(2)) == 0, "20 were owed")
    #expect(count(&limiter, anna, at: here, now: start + .seconds(3)) == 10)
  }

  @Test func `an address is bounded over all its peers`() throws {
    var limiter = MessageLimiter(limits)
    var taken = 0
    for _ in 0..<5 { taken += count(&limiter, try CurveKey().peer, at: here, now: start) }
    #expect(taken == 250)
    #expect(count(&limiter, anna, at: there, now: start) == 100)
  }

  @Test func `a peer is told once in a while`() {
    var limiter = MessageLimiter(limits)
    _ = count(&limiter, anna, at: here, now: start)
    let sender = limiter.sender(anna, at: here)
    // Taking them all made the first verdict against it, which was told.
    let again = limiter.verdict(on: sender, now: start)
    #expect(again == .dropped(isNews: false))
    limiter.took(messages: 1000, bytes: 1, from: sender)
    let later = limiter.verdict(on: sender, now: start + .seconds(11))
    #expect(later == .dropped(isNews: true))
  }

  @Test func `what is local has no bound, and accounts take bounded memory`() throws {
    var limiter = MessageLimiter(limits)
    #expect(count(&limiter, anna, at: Array("127.0.0.1".utf8), now: start) == 10_000)
    #expect(count(&limiter, anna, at: [], now: start) == 10_000)
    for number in 0..<100_000 {
      _ = limiter.verdict(on: limiter.sender(anna, at: Array("x\(number)".utf8)), now: start)
    }
    #expect(count(&limiter, bert, at: there, now: start) == 100)
  }

  @Test(.timeLimit(.minutes(2)))
  func `attack: a peer that floods is told, and neither holds another up nor loses what it sent`()
    async throws
  {
    let (head, annaKey, bertKey) = (try CurveKey(), try CurveKey(), try CurveKey())
    let peers = [annaKey.publicKey: annaKey.peer, bertKey.publicKey: bertKey.peer]
    var limits = MessageLimiter.Limits()
    limits.boundsLocal = true
    limits.peer.messages = .init(burst: 200, perSecond: 150)
    let endpoint = try ZeroMQEndpoint(
      identity: head, listening: ["tcp://127.0.0.1:0"], admits: { peers[$0] }, uplink: nil,
      limits: limits)
    let limited = Mutex<Set<PeerID>>([])
    endpoint.links.onChange { peer, change in
      if change == .limited { limited.withLock { _ = $0.insert(peer) } }
    }
    let receiver = RecordingReceiver(endpoint)
    let anna = try Caller(key: annaKey, to: endpoint.addresses[0], headKey: head.publicKey)
    let bert = try Caller(key: bertKey, to: endpoint.addresses[0], headKey: head.publicKey)
    for caller in [anna, bert] {
      try await caller.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(30))
    }
    // In waves: what waits at one moment goes as one message, which is taken as a whole.
    for wave in 0..<30 {
      for number in wave * 30..<wave * 30 + 30 {
        let bytes = [UInt8(number & 255), UInt8(number >> 8)]
        try anna.endpoint.send(bytes, to: head.peer, in: .actor)
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    for number in 0..<50 { try bert.endpoint.send([UInt8(number)], to: head.peer, in: .actor) }
    func heard(_ key: CurveKey) -> [[UInt8]] {
      receiver.payloads.filter { $0.peer == key.peer }.map(\.bytes)
    }
    #expect(await eventually { heard(bertKey).count == 50 })
    #expect(await eventually { limited.withLock { $0 } == [annaKey.peer] })
    #expect(await eventually { anna.endpoint.uplinkMonitor.lastWarning?.code == .overloaded })
    #expect(await eventually(within: .seconds(60)) { heard(annaKey).count == 900 })
    #expect(heard(annaKey) == (0..<900).map { [UInt8($0 & 255), UInt8($0 >> 8)] })
    #expect(bert.endpoint.uplinkMonitor.lastWarning == nil)
    #expect(anna.receiver.lost.isEmpty && receiver.lost.isEmpty)
    for endpoint in [anna.endpoint, bert.endpoint, endpoint] { await endpoint.stop() }
  }
}
