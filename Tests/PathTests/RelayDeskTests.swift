import IorunCore
import IorunCrypto
import TestSupport
import Testing

@testable import IorunPath

@Suite("Probes and bindings at a relay", .timeLimit(.minutes(2)))
struct RelayDeskTests {
  let secret = [UInt8](repeating: 7, count: 32)
  let relay = SocketAddress(v4: 203, 0, 113, 1, port: 7070)
  let node = SocketAddress(v4: 198, 51, 100, 2, port: 4000)

  private func pass(_ leg: RelayPass.Leg = .lower, expiresAt: UInt64 = 2000) throws -> RelayPass {
    try RelayPass(
      secret: secret, addresses: [relay], slot: 99, leg: leg, expiresAt: expiresAt,
      kilobytesPerSecond: 500)
  }

  /// Carries between a binding and a desk until nothing more is said.
  private func talk(
    _ binding: inout RelayBinding, _ desk: inout RelayDesk, from node: SocketAddress, unix: UInt64
  ) -> [RelayDesk.Action] {
    var installs: [RelayDesk.Action] = []
    var waiting = binding.tick(now: .seconds(1))
    while !waiting.isEmpty {
      guard case .send(let bytes, _) = waiting.removeFirst() else { continue }
      for action in desk.receive(bytes, from: node, now: .seconds(1), unixSeconds: unix) {
        switch action {
        case .reply(let answer, _, _):
          #expect(answer.count <= bytes.count, "no answer is longer than its question")
          waiting += binding.receive(answer, from: relay, now: .seconds(1))
        case .install: installs.append(action)
        }
      }
    }
    return installs
  }

  @Test("the holder of a pass is bound to the address from which it answers")
  func binding() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 7071)
    let pass = try pass()
    var binding = RelayBinding(pass, seed: 1)
    let installs = talk(&binding, &desk, from: node, unix: 1000)
    #expect(
      installs == [
        .install(
          slot: 99, leg: .lower, tag: try RelayHeader(pass).tag, address: node, expiresAt: 2000,
          bytesPerSecond: 500_000)
      ])
    #expect(binding.isUp)
    #expect(binding.relay == relay)
  }

  @Test("a relay that does not answer any more is given up, and found again when it does")
  func silence() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 7071)
    var binding = RelayBinding(try pass(), seed: 7)
    _ = talk(&binding, &desk, from: node, unix: 1000)
    #expect(binding.isUp)
    var (now, downAt): (Duration, Duration?) = (.zero, nil)
    while now < .seconds(60), downAt == nil {
      now += .milliseconds(100)
      if binding.tick(now: now).contains(.down) { downAt = now }
    }
    let silent = try #require(downAt)
    #expect(silent > .seconds(15) && silent < .seconds(17), "\(silent)")
    #expect(!binding.isUp && binding.relay == nil)
    // It asks on.
    now = silent
    while !binding.isUp, now < silent + .seconds(10) {
      now += .milliseconds(100)
      for case .send(let bytes, _) in binding.tick(now: now) {
        for case .reply(let answer, _, _) in desk.receive(
          bytes, from: node, now: now, unixSeconds: 1000)
        {
          for case .send(let next, _) in binding.receive(answer, from: relay, now: now) {
            for case .reply(let bound, _, _) in desk.receive(
              next, from: node, now: now, unixSeconds: 1000)
            {
              _ = binding.receive(bound, from: relay, now: now)
            }
          }
        }
      }
    }
    #expect(binding.isUp)
  }

  @Test("another leg's key, an edited or an expired pass binds nothing")
  func refusals() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 0)
    var forged = try pass()
    forged.key = try pass(.higher).key
    var richer = try pass()
    richer.kilobytesPerSecond = 1_000_000
    var longer = try pass()
    longer.expiresAt = 9999
    for (pass, unix) in [(forged, 1000), (richer, 1000), (longer, 1000), (try pass(), 2000)]
      as [(RelayPass, UInt64)]
    {
      var binding = RelayBinding(pass, seed: 2)
      #expect(talk(&binding, &desk, from: node, unix: unix).isEmpty)
      #expect(!binding.isUp)
    }
  }

  @Test("a challenge of one address is worth nothing at another")
  func spoofing() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 0)
    var binding = RelayBinding(try pass(), seed: 3)
    guard case .send(let bind, _)? = binding.tick(now: .zero).first,
      case .reply(let challenge, _, _)? = desk.receive(
        bind, from: node, now: .zero, unixSeconds: 1000
      ).first,
      case .send(let answer, _)? = binding.receive(challenge, from: relay, now: .zero).first
    else {
      Issue.record("the desk did not challenge")
      return
    }
    let elsewhere = node.with(port: 4001)
    #expect(desk.receive(answer, from: elsewhere, now: .zero, unixSeconds: 1000).isEmpty)
    #expect(!desk.receive(answer, from: node, now: .zero, unixSeconds: 1000).isEmpty)
    #expect(desk.receive(answer, from: node, now: .zero, unixSeconds: 1120).isEmpty)
  }

  @Test("an address that asks too much is not answered, and others are")
  func flood() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 0)
    let question = try RelayPacket.probe(transaction: 1, fromOtherPort: false, byteCount: 0)
      .bytes(key: RelayPass.reflectorKey(secret: secret))
    var answers = 0
    for _ in 0..<1000 {
      answers += desk.receive(question, from: node, now: .zero, unixSeconds: 0).count
    }
    #expect(answers == Int(RelayDesk.burst))
    let other = SocketAddress(v4: 198, 51, 100, 3, port: 1)
    #expect(desk.receive(question, from: other, now: .zero, unixSeconds: 0).count == 1)
    #expect(desk.receive(question, from: node, now: .seconds(1), unixSeconds: 0).count == 1)
  }

  @Test("a probe of a stranger is not answered")
  func stranger() throws {
    var desk = try RelayDesk(secret: secret, otherPort: 0)
    let question = try RelayPacket.probe(transaction: 1, fromOtherPort: false, byteCount: 0)
      .bytes(key: [1, 2, 3])
    #expect(desk.receive(question, from: node, now: .zero, unixSeconds: 0).isEmpty)
    #expect(desk.refused == 1)
  }

  @Test("mutated packets are refused or read, and never crash", arguments: 0..<4 as Range<UInt64>)
  func fuzz(_ seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let terms = RelayPacket.Terms(slot: 5, leg: .higher, expiresAt: 7, kilobytesPerSecond: 9)
    let samples: [RelayPacket] = [
      .probe(transaction: 1, fromOtherPort: true, byteCount: 100),
      .seen(transaction: 1, address: node, otherPort: 2, byteCount: 3), .bind(terms, nonce: 1),
      .challenge(slot: 5, nonce: 1, cookie: random.bytes(16)),
      .answer(terms, nonce: 1, cookie: random.bytes(16)), .bound(slot: 5, nonce: 1, address: node),
    ]
    let encoded = try samples.map { try $0.bytes(key: secret) }
    for (sample, bytes) in zip(samples, encoded) { #expect(RelayPacket(bytes) == sample) }
    for _ in 0..<4000 {
      var bytes = encoded[Int.random(in: 0..<encoded.count, using: &random)]
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        if Bool.random(using: &random) {
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
            in: .min ... .max, using: &random)
        } else {
          bytes.removeLast(Int.random(in: 0..<min(8, bytes.count), using: &random))
        }
        if bytes.isEmpty { break }
      }
      _ = RelayPacket(bytes)
    }
  }

  @Test("reflectors tell the class of a NAT")
  func classes() {
    let one = SocketAddress(v4: 9, 9, 9, 9, port: 1)
    let (seen, other) = (
      SocketAddress(v4: 5, 5, 5, 5, port: 5), SocketAddress(v4: 5, 5, 5, 5, port: 6)
    )
    func findings(_ mapped: [SocketAddress], unasked: Bool?, own: [SocketAddress] = []) -> NATClass
    {
      ReflectorFindings(
        answers: mapped.enumerated().map { index, address in
          .init(
            reflector: one.with(port: UInt16(index + 1)), mapped: address, roundTrip: .zero)
        }, unaskedPortAnswered: unasked, own: own
      ).natClass
    }
    #expect(findings([], unasked: nil) == .udpBlocked)
    #expect(findings([seen, other], unasked: true) == .symmetric)
    #expect(findings([seen, seen], unasked: false) == .portRestricted)
    #expect(findings([seen, seen], unasked: true) == .cone)
    #expect(findings([seen, seen], unasked: true, own: [seen]) == .open)
    #expect(findings([seen], unasked: true) == .unknown)
  }
}
