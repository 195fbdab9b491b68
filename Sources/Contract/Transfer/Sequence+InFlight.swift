extension Sequence where Element: Sendable {
  /// Runs `body` for every element, at most `width` at once. The first error cancels the rest and
  /// is thrown; cancelling the caller cancels all.
  func forEach(
    inFlight width: Int, _ body: @escaping @Sendable (Element) async throws -> Void
  ) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      var running = 0
      for element in self {
        if running == width {
          try await group.next()
          running -= 1
        }
        try Task.checkCancellation()
        group.addTask { try await body(element) }
        running += 1
      }
      try await group.waitForAll()
    }
  }
}
