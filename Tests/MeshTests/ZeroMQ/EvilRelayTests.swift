import IorunCore
import Testing

@testable import IorunMesh

/// Two processes on real sockets whose only way to each other is a relay that means harm.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct EvilRelayTests {
  private let marker = Array("what the tenant said".utf8)

  private func number(_ value: Int) -> [UInt8] {
    marker + [UInt8(truncatingIfNeeded: value >> 8), UInt8(truncatingIfNeeded: value)]
  }

  @Test(arguments: [1, 2] as [UInt64])
  func `attack: a relay that drops, delays, reorders, replays and edits changes no word of a talk`(
    seed: UInt64
  ) async throws {
    let (annaKey, bertKey) = (try CurveKey(), try CurveKey())
    // Half of all packets suffer something.
    let relay = try EvilRelay(admitting: [annaKey, bertKey], seed: seed, outOf: 10)
    let anna = try Caller(key: annaKey, to: relay.address, headKey: relay.key.publicKey)
    let bert = try Caller(key: bertKey, to: relay.address, headKey: relay.key.publicKey)
    for end in [anna, bert] {
      try await end.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(30))
    }
    let count = 400
    for value in 1...count {
      try anna.endpoint.send(number(value), to: bertKey.peer, in: .actor)
      try bert.endpoint.send(number(value + 1000), to: annaKey.peer, in: .actor)
      // Some come in a rush, some one by one.
      if value.isMultiple(of: 40) { try await Task.sleep(for: .milliseconds(5)) }
    }
    let isOver = await eventually(within: .seconds(90)) {
      bert.receiver.payloads.count >= count && anna.receiver.payloads.count >= count
    }
    #expect(isOver, "\(bert.receiver.payloads.count) and \(anna.receiver.payloads.count) came")
    let isWhole =
      bert.receiver.payloads.map(\.bytes) == (1...count).map(number)
      && anna.receiver.payloads.map(\.bytes) == (1...count).map { number($0 + 1000) }
    #expect(isWhole, "each word once, in its order")
    #expect(bert.receiver.payloads.allSatisfy { $0.principal == annaKey.peer })
    // The relay itself answers no session, which is no loss of these two.
    #expect(!anna.receiver.lost.contains { $0.peer == bertKey.peer })
    #expect(!bert.receiver.lost.contains { $0.peer == annaKey.peer })
    let tally = relay.tally
    for mischief in EvilRelay.Mischief.allCases {
      #expect(tally.done[mischief, default: 0] > 10, "the relay did its worst: \(mischief)")
    }
    #expect(!tally.seen.contains { contains($0, marker) }, "and it could read nothing")
    await anna.endpoint.stop(drainingFor: .zero)
    await bert.endpoint.stop(drainingFor: .zero)
    relay.stop()
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...bytes.count - part.count).contains { bytes[$0...].starts(with: part) }
  }
}
