internal import IorunCore

/// How often a key and an address may open connections: token buckets, generous to a process that is
/// restarted again and again and to a script that runs a command after the other, and closed to whoever
/// makes handshakes for their own sake. A pure value.
///
/// Loopback and Unix sockets have no bound: all that is local shares them, and a script there may run
/// a command of the same key many times a second. Addresses that stand for peers
/// (`SocketAddress.standIn`) are no local ones: who comes from there is as far away as any. What a
/// handshake costs before this looks (0.8 ms of libzmq's thread) is for a packet filter to bound.
struct HandshakeLimiter: Sendable {
  typealias Rate = TokenBucket.Rate

  /// Of one admitted key at one address: several nodes behind one router may share a ticket.
  static let key = Rate(burst: 240, perSecond: 2)
  /// Of one admitted key over all addresses: a fleet joins with one ticket, and so with one key.
  static let sharedKey = Rate(burst: 2400, perSecond: 40)
  /// Of one address, admitted or not: many nodes may stand behind one.
  static let address = Rate(burst: 1000, perSecond: 50)
  /// Of one address with keys that nobody admitted.
  static let stranger = Rate(burst: 60, perSecond: 1)
  /// Buckets that are kept; beyond, the full ones are forgotten, then all.
  static let bucketLimit = 65_536

  private enum Name: Hashable {
    case key([UInt8], at: [UInt8])
    case sharedKey([UInt8])
    case address([UInt8])
    case stranger([UInt8])
  }

  private var buckets: [Name: TokenBucket] = [:]

  /// True for loopback and Unix sockets; `address` is the IP address as text, empty for the latter.
  static func isLocal(_ address: [UInt8]) -> Bool {
    if address.isEmpty || address == Array("::1".utf8) { return true }
    let mapped = Array("::ffff:".utf8)
    let bare = address.starts(with: mapped) ? address.dropFirst(mapped.count) : address[...]
    return bare.starts(with: Array("127.".utf8)) && !SocketAddress.isStandIn(bare)
  }

  /// Counts a handshake; false where it is one too many. `key` is `nil` for a key that nobody admits,
  /// `address` the IP address as text, empty for a Unix socket.
  mutating func takes(key: [UInt8]?, address: [UInt8], now: MonotonicTime) -> Bool {
    if buckets.count >= Self.bucketLimit { makeRoom(now) }
    guard !Self.isLocal(address) else { return true }
    // What one address is refused takes nothing from what the key has elsewhere.
    let isInTime =
      key.map {
        take(.key($0, at: address), Self.key, now) && take(.sharedKey($0), Self.sharedKey, now)
      } ?? take(.stranger(address), Self.stranger, now)
    return take(.address(address), Self.address, now) && isInTime
  }

  private mutating func take(_ name: Name, _ rate: Rate, _ now: MonotonicTime) -> Bool {
    buckets[name, default: TokenBucket(rate, now: now)].take(rate, now: now)
  }

  private mutating func makeRoom(_ now: MonotonicTime) {
    // Whoever was quiet for two minutes has a full bucket again, by every rate above.
    buckets = buckets.filter { now - $0.value.at < .seconds(120) }
    if buckets.count >= Self.bucketLimit { buckets = [:] }
  }
}
