internal import IorunCore

/// How much a peer may send over its links, and all peers of one address together. What is beyond is
/// dropped before it is decoded (a policer: RFC 2697 with one rate and one colour), and sent again by
/// its session, which slows down by that. A pure value.
///
/// A peer's credit bounds what it has under way, and ROUTER takes from its connections in turn; this
/// bounds how much of the I/O thread one peer may have for long, which takes 4 to 7 µs for a message.
/// What is local has no bound, as with handshakes (`HandshakeLimiter`).
struct MessageLimiter: Sendable {
  /// Rates of messages (frames of a link: packets and heartbeats) and of bytes.
  struct Limit: Sendable {
    var messages: TokenBucket.Rate
    var bytes: TokenBucket.Rate
  }

  /// The rates of a listener.
  struct Limits: Sendable {
    /// Of one peer, over all of its processes. What we measured of honest ones is 183,000 calls in a
    /// second between two processes that do nothing else, and 0.9 GB (CURVE on one thread).
    var peer = Limit(
      messages: .init(burst: 1_000_000, perSecond: 100_000),
      bytes: .init(burst: 5e9, perSecond: 1.25e9))
    /// Of one address, behind which many may stand.
    var address = Limit(
      messages: .init(burst: 4_000_000, perSecond: 400_000),
      bytes: .init(burst: 2e10, perSecond: 5e9))
    /// Whether loopback and Unix sockets are bounded, too: for tests.
    var boundsLocal = false
  }

  /// Whom a message counts for.
  struct Sender: Sendable, Hashable {
    let peer: PeerID
    /// The IP address as text, empty for a Unix socket.
    let address: [UInt8]
    /// False for what is local.
    let isBounded: Bool
  }

  /// What is to become of a message.
  enum Verdict: Hashable, Sendable {
    case taken
    /// `isNews`: the peer was not told of it lately.
    case dropped(isNews: Bool)
  }

  /// Accounts that are kept of each kind; beyond, those that were quiet are forgotten, then all.
  static let accountLimit = 65_536
  /// How often a peer is told.
  static let tellEvery = Duration.seconds(10)

  private struct Account: Sendable {
    var messages: TokenBucket
    var bytes: TokenBucket
    var toldAt: MonotonicTime?

    init(_ limit: Limit, now: MonotonicTime) {
      messages = TokenBucket(limit.messages, now: now)
      bytes = TokenBucket(limit.bytes, now: now)
    }

    mutating func isInCredit(_ limit: Limit, now: MonotonicTime) -> Bool {
      let hasMessages = messages.isInCredit(limit.messages, now: now)
      return bytes.isInCredit(limit.bytes, now: now) && hasMessages
    }

    mutating func charge(messages count: Int, bytes size: Int) {
      messages.charge(count)
      bytes.charge(size)
    }
  }

  private let limits: Limits
  private var peers: [PeerID: Account] = [:]
  private var addresses: [[UInt8]: Account] = [:]

  init(_ limits: Limits = Limits()) { self.limits = limits }

  /// Names whom messages of a peer over a connection from an address count for.
  func sender(_ peer: PeerID, at address: [UInt8]) -> Sender {
    Sender(
      peer: peer, address: address,
      isBounded: limits.boundsLocal || !HandshakeLimiter.isLocal(address))
  }

  /// Whether a sender's next message is taken. What it costs is told by ``took(messages:bytes:from:)``
  /// once it is known.
  mutating func verdict(on sender: Sender, now: MonotonicTime) -> Verdict {
    guard sender.isBounded else { return .taken }
    makeRoom(now)
    let isPeerGood = peers[sender.peer, default: Account(limits.peer, now: now)]
      .isInCredit(limits.peer, now: now)
    let isAddressGood = addresses[sender.address, default: Account(limits.address, now: now)]
      .isInCredit(limits.address, now: now)
    if isPeerGood, isAddressGood { return .taken }
    let isNews = peers[sender.peer]?.toldAt.map { now - $0 >= Self.tellEvery } ?? true
    if isNews { peers[sender.peer]?.toldAt = now }
    return .dropped(isNews: isNews)
  }

  /// Counts a message that was taken: its frames and its bytes.
  mutating func took(messages: Int, bytes: Int, from sender: Sender) {
    guard sender.isBounded else { return }
    peers[sender.peer]?.charge(messages: messages, bytes: bytes)
    addresses[sender.address]?.charge(messages: messages, bytes: bytes)
  }

  private mutating func makeRoom(_ now: MonotonicTime) {
    if peers.count >= Self.accountLimit { peers = Self.busy(peers, now) }
    if addresses.count >= Self.accountLimit { addresses = Self.busy(addresses, now) }
  }

  /// Whoever was quiet for half a minute owes nothing by the rates above.
  private static func busy<Name>(
    _ accounts: [Name: Account], _ now: MonotonicTime
  ) -> [Name: Account] {
    let busy = accounts.filter { now - $0.value.messages.at < .seconds(30) }
    return busy.count < accountLimit ? busy : [:]
  }
}

extension MessageLimiter {
  /// What a peer is told whose messages are dropped.
  static let refusal = IorunError(
    .overloaded, "this peer, or all at its address, send more than is taken: the rest is dropped",
    remedy: "Send less: 100,000 messages and 1.25 GB a second of one peer are taken for long")
}
