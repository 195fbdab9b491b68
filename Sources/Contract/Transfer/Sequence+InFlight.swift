extension Sequence where Element: Sendable {
  /// Runs `body` for every element, at most `limit` at once, and fewer where each takes long. The
  /// first error cancels the rest and is thrown; cancelling the caller cancels all.
  func forEach(
    inFlight limit: Int, _ body: @escaping @Sendable (Element) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Duration.self) { group in
      var pace = TransferPace(limit: limit)
      var running = 0
      for element in self {
        while running >= pace.width, let elapsed = try await group.next() {
          pace.finished(after: elapsed)
          running -= 1
        }
        try Task.checkCancellation()
        group.addTask {
          let started = ContinuousClock.now
          try await body(element)
          return ContinuousClock.now - started
        }
        running += 1
      }
      try await group.waitForAll()
    }
  }
}
