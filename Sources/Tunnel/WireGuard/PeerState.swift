internal import IorunCrypto

/// What a ``WireGuardMachine`` remembers of one peer.
struct PeerState {
  /// What was asked for.
  var peer: TunnelPeer
  /// What both static keys agree on.
  let staticSecret: [UInt8]
  /// Makes the codes of messages to it.
  var jar: CookieJar
  /// Our initiation that waits for its answer.
  var pending: Pending?
  /// Tries to have a new key: since when, and when the next message goes.
  var attempt: Attempt?
  /// When our last initiation went.
  var initiated: Duration?
  /// The newest timestamp of its initiations: an older one is a replay.
  var lastTimestamp: [UInt8] = []
  /// When its last initiation was worked on.
  var consumed: Duration?
  /// When the last handshake was completed; `nil` where there are no keys.
  var keysMade: Duration?
  /// When a handshake's message last went or came.
  var handshakeSeen: Duration?
  /// Indexes of messages and keys that may still be in use, newest last.
  var indexes: [UInt32] = []
  /// Since when our data has been without any word back.
  var unansweredSince: Duration?
  /// Since when its data has been without any word of ours.
  var owesSince: Duration?
  /// Since when a key has been wanted that the other side should begin to make.
  var wantedSince: Duration?

  /// An initiation without its answer.
  struct Pending {
    var noise: NoiseHandshake
    var ephemeral: X25519
    var index: UInt32
  }

  /// A handshake that is tried until it is done.
  struct Attempt {
    var started: Duration
    var next: Duration
  }

  /// The most indexes that are kept: of three pairs of keys and a message.
  static let indexCapacity = 4
}

extension PeerState {
  /// Takes in what packets came and went: whether our data has been without an answer for so long
  /// that a new key is needed, and whether its data has been without one of ours for so long that
  /// an empty packet is due.
  mutating func note(_ traffic: WireGuardTraffic, now: Duration) -> (Bool, Bool) {
    let lastHeard = [traffic.received, handshakeSeen].compactMap { $0 }.max() ?? .zero
    if let sent = traffic.dataSent, sent > lastHeard {
      unansweredSince = unansweredSince ?? sent
    } else {
      unansweredSince = nil
    }
    if let came = traffic.dataReceived, came > traffic.sent ?? .zero {
      owesSince = owesSince ?? came
    } else {
      owesSince = nil
    }
    let patience = WireGuardTimes.keepalive + WireGuardTimes.rekeyTimeout
    let isUnanswered = unansweredSince.map { now - $0 >= patience } ?? false
    let isOwing = owesSince.map { now - $0 >= WireGuardTimes.keepalive } ?? false
    if isUnanswered { unansweredSince = nil }
    if isOwing { owesSince = nil }
    return (isUnanswered, isOwing)
  }

  /// Whether nothing has gone or come for the peer's keepalive interval.
  func isIdle(_ traffic: WireGuardTraffic, now: Duration) -> Bool {
    guard let interval = peer.keepalive, interval > .zero else { return false }
    let last = [traffic.sent, traffic.received, handshakeSeen].compactMap { $0 }.max()
    return last.map { now - $0 >= interval } ?? true
  }
}
