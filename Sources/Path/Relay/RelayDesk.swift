public import IorunCore
internal import IorunCrypto

/// The relay's side of probes and bindings as a value: answers questions, keeps nothing until
/// somebody has proved a pass from the address that it is used from.
public struct RelayDesk: Sendable {
  /// What is to be done.
  public enum Action: Hashable, Sendable {
    /// Send that from the port where the question came in, or from the one to which nobody writes.
    case reply([UInt8], to: SocketAddress, fromSilentPort: Bool)
    /// Relay what comes from that address under that tag to the slot's other leg.
    case install(
      slot: UInt32, leg: RelayPass.Leg, tag: UInt32, address: SocketAddress, expiresAt: UInt64,
      bytesPerSecond: UInt64)
  }

  /// Questions that one address may ask in a second, and at once.
  static let perSecond = 50.0, burst = 200.0
  /// Addresses whose questions are counted.
  static let bucketLimit = 16_384

  private struct Bucket: Sendable {
    var tokens: Double
    var at: Duration
  }

  private let secret: [UInt8]
  private let reflectorKey: [UInt8]
  private let cookieSecret: [UInt8]
  private let otherPort: UInt16
  private var buckets: [[UInt8]: Bucket] = [:]
  /// Questions that were not answered: too many from one address, or not authentic.
  public private(set) var refused = 0

  /// Makes a desk.
  ///
  /// - Parameters:
  ///   - secret: what the relay shares with the head.
  ///   - otherPort: the second port where it answers; 0: none.
  /// - Throws: `internalFault` where there is no randomness.
  public init(secret: [UInt8], otherPort: UInt16) throws {
    self.secret = secret
    self.otherPort = otherPort
    reflectorKey = try RelayPass.reflectorKey(secret: secret)
    cookieSecret = try SecureRandom.bytes(32)
  }

  /// A question came.
  ///
  /// - Parameters:
  ///   - now: time on any clock that does not go back.
  ///   - unixSeconds: seconds since 1970 (UTC), for the end of passes.
  public mutating func receive(
    _ datagram: [UInt8], from address: SocketAddress, now: Duration, unixSeconds: UInt64
  ) -> [Action] {
    guard takeToken(address, now: now), let packet = RelayPacket(datagram) else {
      refused += 1
      return []
    }
    do {
      switch packet {
      case .probe(let transaction, let fromOtherPort, let count):
        guard RelayPacket.isAuthentic(datagram, key: reflectorKey) else { break }
        let answer = RelayPacket.seen(
          transaction: transaction, address: address, otherPort: otherPort,
          byteCount: UInt16(clamping: count))
        return [
          .reply(
            try answer.bytes(key: reflectorKey), to: address,
            fromSilentPort: fromOtherPort)
        ]
      case .bind(let terms, let nonce):
        guard terms.expiresAt > unixSeconds else { break }
        let cookie = try cookie(terms, address, minute: unixSeconds / 60)
        let answer = RelayPacket.challenge(slot: terms.slot, nonce: nonce, cookie: cookie)
        return [.reply(try answer.bytes(key: []), to: address, fromSilentPort: false)]
      case .answer(let terms, let nonce, let cookie):
        return try bind(
          terms, nonce, cookie, datagram, from: address, unixSeconds: unixSeconds)
      case .seen, .challenge, .bound: break
      }
    } catch {
      // OpenSSL failed: nothing is answered, and the other end asks again.
    }
    refused += 1
    return []
  }

  private mutating func bind(
    _ terms: RelayPacket.Terms, _ nonce: UInt64, _ cookie: [UInt8], _ datagram: [UInt8],
    from address: SocketAddress, unixSeconds: UInt64
  ) throws -> [Action] {
    let key = try RelayPass.key(
      secret: secret, slot: terms.slot, leg: terms.leg, expiresAt: terms.expiresAt,
      kilobytesPerSecond: terms.kilobytesPerSecond)
    let minute = unixSeconds / 60
    let isFresh = try [minute, minute == 0 ? 0 : minute - 1].contains {
      constantTimeEqual(try self.cookie(terms, address, minute: $0), cookie)
    }
    guard isFresh, terms.expiresAt > unixSeconds,
      RelayPacket.isAuthentic(datagram, key: key)
    else {
      refused += 1
      return []
    }
    let answer = RelayPacket.bound(slot: terms.slot, nonce: nonce, address: address)
    return [
      .install(
        slot: terms.slot, leg: terms.leg, tag: try RelayPass.tag(ofKey: key), address: address,
        expiresAt: terms.expiresAt, bytesPerSecond: UInt64(terms.kilobytesPerSecond) * 1000),
      .reply(try answer.bytes(key: key), to: address, fromSilentPort: false),
    ]
  }

  private func cookie(
    _ terms: RelayPacket.Terms, _ address: SocketAddress, minute: UInt64
  ) throws -> [UInt8] {
    var message = address.bytes
    message.append(bigEndian: terms.slot)
    message.append(terms.leg.rawValue)
    message.append(bigEndian: minute)
    return Array(
      try HMACSHA256.code(of: message, key: cookieSecret).prefix(RelayPacket.cookieByteCount))
  }

  private mutating func takeToken(_ address: SocketAddress, now: Duration) -> Bool {
    // An IPv6 host has a whole /64.
    let source = Array(address.address.prefix(8))
    if buckets.count >= Self.bucketLimit, buckets[source] == nil {
      buckets = buckets.filter { now - $0.value.at < .seconds(4) }
      if buckets.count >= Self.bucketLimit { return false }
    }
    var bucket = buckets[source] ?? Bucket(tokens: Self.burst, at: now)
    let passed = Double((now - bucket.at) / .milliseconds(1)) / 1000
    bucket.tokens = min(Self.burst, bucket.tokens + max(passed, 0) * Self.perSecond)
    bucket.at = now
    let isEnough = bucket.tokens >= 1
    if isEnough { bucket.tokens -= 1 }
    buckets[source] = bucket
    return isEnough
  }
}
