/// The two parts of a lease: an hour that is committed and never taken back, and an open tail, which
/// may be.
public struct LeaseTerm: Sendable, Hashable {
  /// For how long a lease is committed.
  public static let committedSeconds = 3600.0

  /// When it began.
  public var startedAtSeconds: Double
  /// Before this nobody takes it back.
  public var committedUntilSeconds: Double
  /// True where its tail may be taken back for a more urgent gang.
  public var isOpportunistic: Bool

  /// A lease that begins.
  public init(startedAtSeconds: Double, isOpportunistic: Bool) {
    self.startedAtSeconds = startedAtSeconds
    committedUntilSeconds = startedAtSeconds + Self.committedSeconds
    self.isOpportunistic = isOpportunistic
  }

  /// True where it may be taken back now. Time that is not a number takes nothing back.
  public func mayBePreempted(atSeconds now: Double) -> Bool {
    isOpportunistic && now >= committedUntilSeconds
  }
}

/// How much service a gang has had, in coarse steps: who had less goes first among equals.
///
/// Least attained service (Tiresias, NSDI 2019), with few levels so that gangs of one level do not
/// take turns: a committed hour, and ten and a hundred of them. Nobody has to say how long a gang
/// will run; lengths of jobs are heavy-tailed, so what has run for long is likely to run for longer.
public enum ServiceLevel {
  /// The levels that there are.
  public static let levels = 0...3

  /// The level after so many seconds of running; below zero, or not a number, counts as none.
  public static func level(ofAttainedSeconds seconds: Double) -> Int {
    let hour = LeaseTerm.committedSeconds
    if seconds >= 100 * hour { return 3 }
    if seconds >= 10 * hour { return 2 }
    return seconds >= hour ? 1 : 0
  }
}
