import IorunCore
import TestSupport
import Testing

@testable import IorunTunnel

/// A side that has too much to do.
@Suite struct CookieTests {
  @Test("under load the sender proves its address, and then has its key")
  func cookie() throws {
    let lab = try Lab()
    lab.isUnderLoad = true
    lab.send([1], from: 0)
    lab.deliver()
    #expect(lab.sent.map { $0.bytes[0] } == [1, 3])
    #expect(lab.sent[0].bytes.suffix(16).allSatisfy { $0 == 0 })
    // The answer to the second initiation is asked for a proof by the first end, which is loaded too.
    lab.pass(.seconds(6))
    #expect(lab.sent[2].bytes[0] == 1 && lab.sent[2].bytes.suffix(16).contains { $0 != 0 })
    #expect(lab.count(2, from: 1) == 1)
    lab.isUnderLoad = false
    lab.pass(.seconds(6))
    #expect(lab.one.current != nil && lab.other.current != nil)
  }

  @Test("a proof is worth nothing from another address, nor after two minutes")
  func proofs() throws {
    let key = try LabEnd(seed: 5).key
    var (checker, jar) = (
      CookieChecker(key: try key.publicKey), CookieJar(key: try key.publicKey)
    )
    var dice = SeededGenerator(seed: 6)
    let body = dice.bytes(116)
    let (home, elsewhere): ([UInt8], [UInt8]) = ([10, 0, 0, 1, 0, 1], [10, 0, 0, 1, 0, 2])
    let first = jar.sign(body, now: .seconds(1))
    #expect(checker.isFirstValid(first))
    #expect(!checker.isSecondValid(first, source: home, now: .seconds(1)))
    let reply = try #require(
      checker.reply(to: first, sender: 7, source: home, now: .seconds(1)) { dice.bytes($0) })
    #expect(HandshakeMessage(reply.bytes) == .cookie(reply))
    let wasTaken = jar.take(reply, now: .seconds(1))
    #expect(wasTaken)
    let second = jar.sign(body, now: .seconds(2))
    #expect(checker.isSecondValid(second, source: home, now: .seconds(2)))
    #expect(!checker.isSecondValid(second, source: elsewhere, now: .seconds(2)))
    #expect(!checker.isSecondValid(second, source: home, now: .seconds(122)))
    let late = jar.sign(body, now: .seconds(118))
    #expect(late.suffix(16).allSatisfy { $0 == 0 }, "a cookie that may be out of date is not used")
  }

  @Test("a cookie that answers no message of ours is not taken")
  func unasked() throws {
    let key = try LabEnd(seed: 5).key
    var (checker, jar) = (
      CookieChecker(key: try key.publicKey), CookieJar(key: try key.publicKey)
    )
    var dice = SeededGenerator(seed: 8)
    let signed = jar.sign(dice.bytes(116), now: .seconds(1))
    var reply = try #require(
      checker.reply(to: signed, sender: 7, source: [1], now: .seconds(1)) { dice.bytes($0) })
    reply.sealedCookie[0] ^= 1
    let forged = jar.take(reply, now: .seconds(1))
    #expect(!forged)
    reply.sealedCookie[0] ^= 1
    let genuine = jar.take(reply, now: .seconds(1))
    let again = jar.take(reply, now: .seconds(1))
    #expect(genuine && !again)
  }

  @Test("an address begins at most 5 handshakes at once and 20 a second")
  func limiter() {
    var limiter = SourceLimiter()
    let atOnce = (0..<50).count { _ in limiter.allows([1], now: .seconds(10)) }
    #expect(atOnce == 5)
    let later = (0..<100).count { limiter.allows([1], now: .seconds(10) + .milliseconds(10 * $0)) }
    #expect((19...21).contains(later))
    let another = limiter.allows([2], now: .seconds(10))
    #expect(another)
    let strangers = (0..<10_000).count { number in
      limiter.allows([3, UInt8(number >> 8), UInt8(number & 255)], now: .seconds(11))
    }
    #expect(strangers <= SourceLimiter.capacity, "what is remembered is bounded")
  }

  @Test("many handshakes that wait mean load, for a second longer than they wait")
  func gauge() {
    var gauge = LoadGauge()
    let before = gauge.note(waiting: LoadGauge.threshold - 1, now: .seconds(1))
    let full = gauge.note(waiting: LoadGauge.threshold, now: .seconds(2))
    let after = gauge.note(waiting: 0, now: .seconds(2.9))
    let over = gauge.note(waiting: 0, now: .seconds(3))
    #expect(!before && full && after && !over)
  }
}
