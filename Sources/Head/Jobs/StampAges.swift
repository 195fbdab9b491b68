internal import IorunContract
internal import IorunCore

/// How old times of the wall clock are that jobs bear, as far as the head has watched them: by a clock
/// that nobody sets. Somebody who sets the wall clock, or a time service that comes late, ends no job's
/// time. A stamp that is seen for the first time, as after a restart of the head, is as old as the wall
/// clock says.
struct StampAges: Sendable {
  private struct Stamp: Hashable {
    let job: JobID
    let at: Double
  }

  private var begun: [Stamp: Duration] = [:]
  private var asked: [Stamp: Duration] = [:]

  /// Seconds since `stamp` (seconds since 1970) of a job.
  ///
  /// - Parameters:
  ///   - now: the wall clock, in seconds since 1970.
  ///   - elapsed: the head's own clock.
  mutating func age(of stamp: Double, job: JobID, now: Double, elapsed: Duration) -> Double {
    let key = Stamp(job: job, at: stamp)
    let start = asked[key] ?? begun[key] ?? elapsed - .seconds(max(0, now - stamp))
    asked[key] = start
    return (elapsed - start).inSeconds
  }

  /// Ends a round: stamps that nobody asked for in it are forgotten.
  mutating func endRound() { (begun, asked) = (asked, [:]) }
}
