/// Whether a peer is alive, judged by what was heard of it: a value that is told what happens and asked
/// what that means at a moment.
///
/// Silence alone never tells a dead peer from one behind a broken cable. So it makes a peer
/// ``State/unreachable`` soon, by how unusual it is for this peer (``PhiAccrual``), and ``State/dead``
/// late. What proves an end is that the peer's kernel closed a connection that was in use, and no new
/// one came in the time that making one takes.
public struct PeerLiveness: Sendable {
  /// What is known of a peer.
  public enum State: String, Sendable, Hashable {
    /// Heard from as often as usual.
    case alive
    /// Late, or without a connection.
    case suspect
    /// Silent for so long that it cannot be reached, but not known to be gone.
    case unreachable
    /// Gone.
    case dead
  }

  /// A state and why.
  public struct Verdict: Sendable, Hashable {
    /// The state.
    public var state: State
    /// Why, for people; `nil` while it is alive.
    public var reason: String?
  }

  /// The times by which it is judged.
  public struct Settings: Sendable, Hashable {
    /// How often the peer is to speak.
    public var heartbeat = Duration.milliseconds(500)
    /// How much longer than is usual it may be silent before it counts as unreachable: a machine under
    /// load stalls for a second. Half of it makes it suspect.
    public var pause = Duration.milliseconds(1500)
    /// The same while its connection stands, for its kernel acknowledges or bytes come: the process
    /// lives, and gets no processor or has stalled.
    public var pauseOfBusy = Duration.seconds(10)
    /// The most of a silence that counts as this side's own lateness.
    public var mostExcuse = Duration.seconds(3)
    /// How long a new connection may take after one was closed, besides its round trips.
    public var redial = Duration.milliseconds(1500)
    /// After so long a silence it is dead, although nothing proves it.
    public var deadAfter = Duration.seconds(20)
    /// The same where somebody else reaches its host or bytes come over its connection.
    public var deadAfterDespiteProof = Duration.seconds(40)

    /// The times of a network in ordinary use.
    public init() {}
  }

  /// How many round trips making a connection takes: TCP, CURVE, the greeting.
  private static let roundTripsOfDialling = 8
  /// A connection counts as in use when something was heard over it so shortly before its end: one
  /// that was silent was closed by a side that had given up, which proves nothing. For so long, too, an
  /// acknowledgement proves that it stands.
  private static let freshness = Duration.milliseconds(2500)
  /// The most time that peers get after this side was stopped.
  private static let longestGrace = Duration.seconds(10)
  /// For how long word from others that they reach the peer's host counts.
  private static let proofLasts = Duration.seconds(10)

  private let settings: Settings
  private var detector: PhiAccrual
  /// When it spoke last, or when it began to be watched.
  private var heardAt: Duration
  /// When bytes last came over its connection, whatever they said.
  private var bytesAt: Duration
  /// When its kernel last acknowledged something over its connection.
  private var acknowledgedAt: Duration?
  /// How much of the present silence was excused.
  private var excused = Duration.zero
  private var roundTrip = Duration.zero
  /// When its connection ended, where no other came since, and whether that proves something.
  private var ended: (at: Duration, isProof: Bool)?
  private var proof: (at: Duration, by: String)?
  /// Until when nothing is concluded, because this side was stopped before.
  private var graceUntil = Duration.zero

  /// Watches a peer that was heard at `now`.
  public init(_ settings: Settings = Settings(), now: Duration) {
    self.settings = settings
    detector = PhiAccrual(
      expected: settings.heartbeat, leastDeviation: settings.heartbeat / 5, now: now)
    heardAt = now
    bytesAt = now
  }

  /// How long it has been silent.
  public func silence(at now: Duration) -> Duration { max(.zero, now - heardAt) }

  /// It spoke.
  public mutating func heard(at now: Duration) {
    // What an outage took says nothing of how regularly it speaks.
    detector.heard(at: now, most: settings.heartbeat * 4 + roundTrip * 2)
    heardAt = now
    bytesAt = now
    excused = .zero
    ended = nil
    proof = nil
  }

  /// Bytes came over its connection, such as a heartbeat of the link.
  public mutating func heardBytes(at time: Duration) { bytesAt = max(bytesAt, time) }

  /// The kernel of its machine acknowledged what was sent over its connection: the machine can be
  /// reached and a process holds the connection, which says nothing of what that process does.
  public mutating func acknowledged(at time: Duration) {
    acknowledgedAt = max(acknowledgedAt ?? time, time)
  }

  /// The round trip to it. Everything takes longer on a long way, and is less regular there.
  public mutating func measured(roundTrip: Duration) {
    self.roundTrip = min(max(.zero, roundTrip), .seconds(5))
    // Two lost segments in a row, each sent again after about two round trips, are no silence yet.
    detector.leastDeviation = max(settings.heartbeat / 5, self.roundTrip * 5 / 4)
  }

  /// It has a connection (again).
  public mutating func connected() { ended = nil }

  /// Its connection is gone. `wasClosed`: its kernel said so; else it was silent for too long.
  public mutating func disconnected(at now: Duration, wasClosed: Bool) {
    guard ended == nil else { return }
    let isProof = wasClosed && now - bytesAt <= Self.freshness && now >= graceUntil
    ended = (now, isProof)
  }

  /// Somebody else reaches its host.
  public mutating func reached(by name: String, at now: Duration) { proof = (now, name) }

  /// So much of the silence before `now` was this side's own fault: it was stopped. The peer may have
  /// given the connection up meanwhile, and gets the time to make another.
  public mutating func forgive(_ time: Duration, at now: Duration) {
    graceUntil = now + min(time * 2, Self.longestGrace)
    heardAt += time
    bytesAt += time
    acknowledgedAt = acknowledgedAt.map { $0 + time }
    detector.forgive(time)
    ended = nil
  }

  /// This side was late by so much before `now`, as happens where it gets no processor: what the peer
  /// said meanwhile may still wait to be heard. That makes its silence less unusual, up to
  /// ``Settings/mostExcuse``; ``silence(at:)`` and when it counts as dead stay what they are.
  public mutating func excuse(_ time: Duration, at now: Duration) {
    let time = min(time, min(settings.mostExcuse, silence(at: now)) - excused)
    guard time > .zero else { return }
    excused += time
    detector.forgive(time)
  }

  /// What all that means at `now`.
  public func verdict(at now: Duration) -> Verdict {
    let silence = silence(at: now)
    if let ended, ended.isProof, now - ended.at >= timeToRedial {
      return Verdict(
        state: .dead,
        reason: "its agent has ended: its connection was closed and no other came for "
          + Self.seconds(now - ended.at))
    }
    if now < graceUntil {
      return silence < settings.heartbeat * 2
        ? Verdict(state: .alive, reason: nil)
        : Verdict(state: .suspect, reason: "the head was stopped, and waits for it")
    }
    let standsAt = max(bytesAt, acknowledgedAt ?? .zero)
    let stands = ended == nil && now - standsAt < Self.freshness && standsAt > heardAt
    let witness = proof.flatMap { now - $0.at < Self.proofLasts ? $0.by : nil }
    let limit =
      stands || witness != nil ? settings.deadAfterDespiteProof : settings.deadAfter
    if silence >= limit {
      return Verdict(state: .dead, reason: "no word came from it for \(Self.seconds(limit))")
    }
    let pause = ended != nil ? .zero : stands ? settings.pauseOfBusy : settings.pause
    // One that lost its connection in use has half of the time that another takes: most are back by
    // then.
    let mayDial = ended.map { $0.isProof && now - $0.at < timeToRedial / 2 } ?? false
    if !mayDial, detector.suspicion(at: now, pause: pause) > PhiAccrual.threshold {
      let why =
        if stands {
          "its connection stands, but its agent does not answer"
        } else if let witness {
          "\(witness) still reaches its host"
        } else {
          "nobody reaches it"
        }
      return Verdict(
        state: .unreachable, reason: "no word came from it for \(Self.seconds(silence)); \(why)")
    }
    if ended != nil { return Verdict(state: .suspect, reason: "its connection broke") }
    if detector.suspicion(at: now, pause: settings.pause / 2) > PhiAccrual.threshold / 2 {
      return Verdict(
        state: .suspect, reason: "no word came from it for \(Self.seconds(silence))")
    }
    return Verdict(state: .alive, reason: nil)
  }

  private var timeToRedial: Duration { settings.redial + roundTrip * Self.roundTripsOfDialling }

  private static func seconds(_ time: Duration) -> String {
    let tenths = Int(time / .milliseconds(100))
    return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
  }
}
