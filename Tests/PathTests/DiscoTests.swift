import IorunCore
import IorunCrypto
import TestSupport
import Testing

@testable import IorunPath

@Suite("Disco messages", .timeLimit(.minutes(2)))
struct DiscoTests {
  static let samples: [DiscoMessage] = [
    .ping(transaction: 7), .pong(transaction: .max, observed: nil),
    .pong(transaction: 1, observed: SocketAddress(v4: 192, 0, 2, 1, port: 9)),
    .call(round: 3, isAnswer: true, natClass: .symmetric, candidates: []),
    .call(
      round: .max, isAnswer: false, natClass: .open,
      candidates: [
        Candidate(.host, SocketAddress(v4: 10, 0, 0, 1, port: 1)),
        Candidate(
          .mapped, SocketAddress("[2001:db8::1]:2") ?? SocketAddress(v4: 1, 1, 1, 1, port: 1)),
      ]),
  ]

  @Test("what is written is read again", arguments: samples)
  func codec(_ message: DiscoMessage) {
    #expect(DiscoMessage(bytes: message.bytes[...]) == message)
  }

  @Test("only the other end of the pair can read, and nobody is shown his own words")
  func sealing() throws {
    let (one, other, third) = (try X25519(), try X25519(), try X25519())
    let here = try DiscoSeal(own: one, peer: other.publicKey, context: [1])
    let there = try DiscoSeal(own: other, peer: one.publicKey, context: [1])
    let stranger = try DiscoSeal(own: third, peer: one.publicKey, context: [1])
    let elsewhere = try DiscoSeal(own: other, peer: one.publicKey, context: [2])
    let sealed = try here.seal(.ping(transaction: 5))
    #expect(there.open(sealed[...]) == .ping(transaction: 5))
    #expect(here.open(sealed[...]) == nil)
    #expect(stranger.open(sealed[...]) == nil)
    #expect(elsewhere.open(sealed[...]) == nil)
    #expect(DiscoSeal.name(in: sealed[...]) == there.inboundName)
    for bit in 0..<sealed.count * 8 {
      var edited = sealed
      edited[bit / 8] ^= 1 << (bit % 8)
      #expect(there.open(edited[...]) == nil)
    }
  }

  @Test("mutated messages are refused or read, and never crash", arguments: 0..<8 as Range<UInt64>)
  func fuzz(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<4000 {
      var bytes = Self.samples[Int.random(in: 0..<Self.samples.count, using: &random)].bytes
      for _ in 0..<Int.random(in: 1...4, using: &random) {
        switch Int.random(in: 0..<3, using: &random) {
        case 0 where !bytes.isEmpty:
          bytes[Int.random(in: 0..<bytes.count, using: &random)] = .random(
            in: .min ... .max, using: &random)
        case 1: bytes.removeLast(min(bytes.count, Int.random(in: 0...5, using: &random)))
        default: bytes += random.bytes(Int.random(in: 0...40, using: &random))
        }
      }
      if let message = DiscoMessage(bytes: bytes[...]) {
        #expect(DiscoMessage(bytes: message.bytes[...]) == message)
      }
      _ = DiscoSeal.name(in: bytes[...])
    }
  }
}
