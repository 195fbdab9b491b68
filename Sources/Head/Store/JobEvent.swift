/// One line of a job's history: a row of `events`. Its revision is drawn when it is committed.
struct JobEvent: Sendable, Hashable {
  /// What happened. The names are stored: never change one.
  enum Kind: String, Sendable, Hashable {
    case submitted, queued, placed, prepared, started, stopping, rankEnded, nodeLost
    case succeeded, failed, cancelled, cancelRequested
    /// Somebody else than the owner reached into a rank.
    case attached
  }

  var kind: Kind
  /// What a person should know of it.
  var detail: String
  /// Seconds since 1970 (UTC).
  var time: Double
}
