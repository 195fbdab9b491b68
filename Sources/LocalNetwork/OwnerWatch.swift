internal import IorunCore

/// Ends what a process started for itself when that process is gone, however it went.
public struct OwnerWatch: Sendable {
  private let record: ProcessRecord

  /// How often it looks: a process that was killed cannot say so, and nothing but its own parent may
  /// wait for it everywhere.
  static let interval = Duration.milliseconds(500)

  /// Watches a process.
  ///
  /// - Throws: `notFound` where no such process runs.
  public init(pid: Int32) throws {
    guard let record = ProcessRecord(name: "owner", pid: pid) else {
      throw IorunError(
        .notFound, "there is no process \(pid) whose end to wait for",
        remedy: "Give --owner-pid the id of a process that runs")
    }
    self.record = record
  }

  /// Runs `body` until it ends, or until the process is gone: then `body` is cancelled.
  public static func during(
    _ owner: OwnerWatch?, _ body: @escaping @Sendable () async throws -> Void
  ) async throws {
    guard let owner else { return try await body() }
    try await withThrowingTaskGroup(of: Void.self) { tasks in
      tasks.addTask(operation: body)
      tasks.addTask {
        while owner.record.isRunning { try await Task.sleep(for: interval) }
      }
      // Whichever is first: the body's own end, or the owner's.
      try await tasks.next()
      tasks.cancelAll()
      // The body cleans up, and ends as one that was cancelled.
      while !tasks.isEmpty { do { try await tasks.next() } catch is CancellationError {} }
    }
  }
}
