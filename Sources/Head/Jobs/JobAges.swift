internal import IorunCore

/// How long ago a job was accepted, placed and started, as far as the head has watched: by a clock that
/// nobody sets. Somebody who sets the wall clock, or a time service that comes late, ends no job's time,
/// breaks no committed hour and moves nobody in the queue.
///
/// What was stamped before the head started is as old as the wall clock says. A machine that starts with a
/// wrong clock must not end a job by it: for that only what this head has watched counts.
struct JobAges: Sendable {
  /// A time of the wall clock that the job's record bears, and when that was by the head's own clock.
  private struct Mark {
    let stamp: Double
    let at: Duration

    init(_ stamp: Double, seenAt moment: HeadClock.Moment) {
      self.stamp = stamp
      let age = moment.wall - stamp
      at = moment.elapsed - .seconds(age.isFinite ? min(max(0, age), Self.longest) : 0)
    }

    /// More seconds than any job is old, and no more than a duration holds.
    private static let longest = 1e12
  }

  private let submitted: Mark
  private var placed: Mark?
  private var started: Mark?

  /// - Parameters:
  ///   - record: the job as it is now.
  ///   - moment: now.
  init(_ record: JobRecord, at moment: HeadClock.Moment) {
    submitted = Mark(record.submittedAt, seenAt: moment)
    follow(record, at: moment)
  }

  /// The job may have been placed or started.
  mutating func follow(_ record: JobRecord, at moment: HeadClock.Moment) {
    Self.follow(record.course.placedAt, &placed, moment)
    Self.follow(record.startedAt, &started, moment)
  }

  private static func follow(_ stamp: Double?, _ mark: inout Mark?, _ moment: HeadClock.Moment) {
    guard mark?.stamp != stamp else { return }
    mark = stamp.map { Mark($0, seenAt: moment) }
  }

  /// Seconds since it was accepted.
  func sinceSubmitted(_ elapsed: Duration) -> Double { (elapsed - submitted.at).inSeconds }

  /// Seconds since its latest attempt was started; `nil` where it was not.
  func sinceStarted(_ elapsed: Duration) -> Double? {
    started.map { (elapsed - $0.at).inSeconds }
  }

  /// The same, but no longer than since the head started.
  func watchedSinceStarted(_ elapsed: Duration) -> Double? { started.map { watched($0, elapsed) } }

  /// Seconds since its latest attempt was placed or the head started; `nil` where none was placed.
  func watchedSincePlaced(_ elapsed: Duration) -> Double? { placed.map { watched($0, elapsed) } }

  private func watched(_ mark: Mark, _ elapsed: Duration) -> Double {
    (elapsed - max(.zero, mark.at)).inSeconds
  }
}
