/// WireGuard's constants of time (paper, 6.1).
enum WireGuardTimes {
  /// The age of a key at which who made it makes another.
  static let rekeyAfter: Duration = .seconds(120)
  /// The age of a key at which it is used no more.
  static let rejectAfter: Duration = .seconds(180)
  /// How long a handshake is tried.
  static let rekeyAttempt: Duration = .seconds(90)
  /// How long an answer to an initiation is waited for.
  static let rekeyTimeout: Duration = .seconds(5)
  /// The same for the first initiation to a peer that is to be kept alive and has had no key yet; it
  /// doubles up to the above. Both ends are set up at about the same time, so the first message may
  /// come before the other end knows who we are, and is then refused.
  static let firstTimeout: Duration = .milliseconds(250)
  /// The most that is added to that wait, at random, so that two sides do not keep in step.
  static let jitter: Duration = .milliseconds(333)
  /// After how long without a word of our own a packet of the peer's is answered by an empty one.
  static let keepalive: Duration = .seconds(10)
  /// The shortest time between two initiations of one peer that are worked on.
  static let initiationInterval: Duration = .milliseconds(20)
  /// How long a side that should not begin holds back.
  static let restraint: Duration = .seconds(15)
}
