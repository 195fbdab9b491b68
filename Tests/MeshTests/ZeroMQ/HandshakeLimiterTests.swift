import Testing

@testable import IorunMesh

struct HandshakeLimiterTests {
  private let start = MonotonicTime(nanoseconds: 0)
  private let away = Array("203.0.113.7".utf8)

  private func count(
    _ limiter: inout HandshakeLimiter, key: [UInt8]?, from address: [UInt8], at now: MonotonicTime
  ) -> Int {
    var taken = 0
    while taken < 10_000, limiter.takes(key: key, address: address, now: now) { taken += 1 }
    return taken
  }

  @Test func `a key has a burst and comes again with time`() {
    var limiter = HandshakeLimiter()
    #expect(count(&limiter, key: [1], from: away, at: start) == 240)
    #expect(count(&limiter, key: [2], from: away, at: start) == 240, "another is not held up")
    #expect(count(&limiter, key: [1], from: away, at: start + .seconds(10)) == 20)
  }

  @Test func `an address is bounded over all its keys, and strangers there before`() {
    var limiter = HandshakeLimiter()
    #expect(count(&limiter, key: nil, from: away, at: start) == 60)
    var taken = 0
    for key in 0..<2000
    where limiter.takes(key: [UInt8(key & 255), UInt8(key >> 8)], address: away, now: start) {
      taken += 1
    }
    #expect((800...1000).contains(taken), "strangers took from the address's burst, and no more")
  }

  @Test func `what is local has no bound`() {
    var limiter = HandshakeLimiter()
    let loopback = Array("127.0.0.1".utf8)
    #expect(count(&limiter, key: nil, from: loopback, at: start) == 10_000)
    #expect(count(&limiter, key: [1], from: [], at: start) == 10_000)
    let isIn = limiter.takes(key: [1], address: loopback, now: start)
    #expect(isIn)
  }

  @Test func `what stands on loopback for a peer elsewhere is bounded as that is`() {
    var limiter = HandshakeLimiter()
    for (number, address) in ["127.64.0.1", "127.127.255.255", "::ffff:127.65.3.4"].enumerated() {
      let place = Array(address.utf8)
      #expect(count(&limiter, key: [UInt8(number)], from: place, at: start) == 240, "\(address)")
      #expect(count(&limiter, key: nil, from: place, at: start) == 60, "\(address)")
    }
    for address in ["127.63.0.1", "127.128.0.1", "127.0.0.1", "::ffff:127.0.0.1", "::1"] {
      #expect(HandshakeLimiter.isLocal(Array(address.utf8)), "\(address)")
    }
  }

  @Test func `a flood of addresses takes no more than the bounded memory`() {
    var limiter = HandshakeLimiter()
    for number in 0..<100_000 {
      _ = limiter.takes(key: nil, address: Array("x\(number)".utf8), now: start)
    }
    #expect(count(&limiter, key: [1], from: away, at: start) == 240)
  }

  @Test func `a fleet that joins with one ticket is let in at once, from many places or from one`()
  {
    var limiter = HandshakeLimiter()
    for node in 0..<1000 {
      for _ in 0..<2 {
        let isIn = limiter.takes(key: [1], address: Array("198.51.100.\(node)".utf8), now: start)
        #expect(isIn)
      }
    }
    for _ in 0..<200 {
      let isIn = limiter.takes(key: [2], address: away, now: start)
      #expect(isIn)
    }
  }

  @Test func `a key that is abused at one address, or at very many, is bounded`() {
    var limiter = HandshakeLimiter()
    #expect(count(&limiter, key: [1], from: away, at: start) == 240)
    let isInElsewhere = limiter.takes(key: [1], address: Array("198.51.100.1".utf8), now: start)
    #expect(isInElsewhere, "abuse at one address holds nobody up at another")
    var taken = 0
    for place in 0..<10_000
    where limiter.takes(key: [3], address: Array("place \(place)".utf8), now: start) {
      taken += 1
    }
    #expect(taken == 2400)
  }
}
