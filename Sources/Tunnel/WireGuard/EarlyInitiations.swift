/// Initiations of those who are not peers yet. The ends of a gang's tunnels are set up at about the
/// same time, and the first message often comes before its receiver knows whom it is from: kept for a
/// moment, it is answered when that peer is set, and nobody waits for a second try.
///
/// Nothing of them is proved: whoever knows our public key can claim to be anybody, and fill the room.
/// Then honest ones are forgotten, as if lost on the way.
struct EarlyInitiations {
  /// An initiation, and where it came from.
  struct Initiation {
    var received: NoiseHandshake.Received
    var source: TunnelEndpoint
    fileprivate var arrived: Duration
  }

  /// The most that are kept.
  static let capacity = 256
  /// For how long. An older one would be sent again anyhow, and its sender forgets its first.
  static let patience = WireGuardTimes.rekeyTimeout

  /// Oldest first.
  private var kept: [Initiation] = []

  /// Keeps one; the oldest makes room.
  mutating func keep(
    _ received: NoiseHandshake.Received, from source: TunnelEndpoint, now: Duration
  ) {
    forget(now: now)
    if kept.count == Self.capacity { kept.removeFirst() }
    kept.append(Initiation(received: received, source: source, arrived: now))
  }

  /// Those that say to be of that peer, newest first; they are forgotten here.
  mutating func take(of peer: TunnelPublicKey, now: Duration) -> [Initiation] {
    forget(now: now)
    let taken = kept.filter { $0.received.peer == peer }
    kept.removeAll { $0.received.peer == peer }
    return taken.reversed()
  }

  private mutating func forget(now: Duration) {
    kept.removeAll { now - $0.arrived > Self.patience }
  }
}
