import IorunCore
import IorunWire
import TestSupport
import Testing

/// What actor runtimes say to each other.
@Suite(.timeLimit(.minutes(2)))
struct EnvelopeCodecTests {
  static let envelopes: [Envelope] = [
    .call(
      Envelope.Call(
        id: .max, actor: "job-manager", target: "$s4Main7CounterC3addyyFTE", arguments: [1, 2],
        timeoutMilliseconds: 60_000)),
    .call(Envelope.Call(id: 0, actor: "", target: "", arguments: [], timeoutMilliseconds: 0)),
    .reply(id: 1, .value([0xf6])), .reply(id: 1, .value([])), .reply(id: 2, .nothing),
    .reply(
      id: 3,
      .failure(
        Envelope.RemoteFailure(
          code: 1105, message: "too large ✓", remedy: "less", cause: "why",
          typeName: "Main.Failure",
          value: [0xa0]))),
    .reply(id: 4, .failure(Envelope.RemoteFailure(code: 0, message: ""))),
    .cancel(id: 9, actor: "a"),
  ]

  @Test("each kind of envelope comes back equal", arguments: envelopes)
  func roundTrip(_ envelope: Envelope) throws {
    #expect(try EnvelopeCodec.decode(EnvelopeCodec.encode(envelope)) == envelope)
  }

  @Test("an envelope cut off at any byte decodes or is refused", arguments: envelopes)
  func truncation(_ envelope: Envelope) throws {
    let bytes = try EnvelopeCodec.encode(envelope)
    for count in 0..<bytes.count {
      do {
        // Only a cut between two fields leaves an envelope, and never the same one.
        #expect(try EnvelopeCodec.decode(Array(bytes.prefix(count))) != envelope)
      } catch { #expect((error as? IorunError)?.code == .malformed) }
    }
  }

  @Test func `a result that does not fit a packet is refused`() {
    let value = [UInt8](repeating: 0, count: WireLimits.payloadBytes)
    #expect {
      try EnvelopeCodec.encode(.reply(id: 1, .value(value)))
    } throws: { ($0 as? IorunError)?.code == .tooLarge }
  }

  @Test func `names over their limit are refused`() throws {
    let long = String(repeating: "x", count: WireLimits.nameBytes + 1)
    for (actor, target) in [(long, "t"), ("a", long)] {
      let bytes = try EnvelopeCodec.encode(
        .call(
          Envelope.Call(
            id: 1, actor: actor, target: target, arguments: [], timeoutMilliseconds: 1)))
      #expect { try EnvelopeCodec.decode(bytes) } throws: {
        ($0 as? IorunError)?.code == .malformed
      }
    }
  }

  @Test func `an envelope without a body and a reply without an outcome are refused`() {
    #expect(throws: IorunError.self) { try EnvelopeCodec.decode([]) }
    #expect(throws: IorunError.self) { try EnvelopeCodec.decode([0x12, 2, 0x08, 1]) }
  }

  @Test func `changed envelopes decode or are refused`() async throws {
    var generator = SeededGenerator(seed: 24)
    let originals = try Self.envelopes.map { try EnvelopeCodec.encode($0) }.filter { !$0.isEmpty }
    let end = ContinuousClock.now + .seconds(30)
    for round in 0..<100_000 where ContinuousClock.now < end {
      if round % 500 == 0 { await Task.yield() }
      var bytes = originals.randomElement(using: &generator)!
      for _ in 0..<Int.random(in: 1...3, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] =
          UInt8.random(in: .min ... .max, using: &generator)
      }
      do { _ = try EnvelopeCodec.decode(bytes) } catch {
        #expect(error is IorunError, "seed 24, bytes \(bytes)")
      }
    }
  }
}
