import IorunCore

/// Makes a call to the head again until it succeeds: a head may be away for minutes, and what a
/// node has to tell it must not be lost. Who no longer wants the answer cancels the task.
struct Retry: Sendable {
  /// The first pause and the longest; each is twice the one before.
  var pauses: ClosedRange<Duration>
  /// What measures them.
  var clock: any Clock<Duration>

  /// Codes that another call would meet again, where content is moved: the fault is in the content
  /// or on this machine's disk.
  static let contentFaults: Set<IorunError.Code> = [
    .notFound, .malformed, .tooLarge, .fileMissing, .fileSystem, .diskFull, .specInvalid,
    .wrongState,
  ]

  /// Codes that a report would meet again: it is one that the head never takes.
  static let reportFaults: Set<IorunError.Code> = [.tooLarge, .malformed]

  /// Calls `body` until it returns. Throws `CancellationError` once the task is cancelled, and an
  /// error whose code is in `final` at once. Runs where its caller runs, so that `body` may look at
  /// an actor's state.
  func callAsFunction<Value: Sendable>(
    final: Set<IorunError.Code> = [], isolation: isolated (any Actor)? = #isolation,
    _ body: () async throws -> Value
  ) async throws -> Value {
    var pause = pauses.lowerBound
    while true {
      do {
        try Task.checkCancellation()
        return try await body()
      } catch let error as IorunError where final.contains(error.code) {
        throw error
      } catch {
        try await clock.sleep(for: pause)
        pause = min(pause * 2, pauses.upperBound)
      }
    }
  }
}
