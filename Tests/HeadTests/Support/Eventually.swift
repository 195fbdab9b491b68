import Testing

/// Looks at a condition until it holds; fails the test after a minute.
func eventually(
  _ what: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + .seconds(60)
  while ContinuousClock.now < deadline {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(2))
  }
  Issue.record(what ?? "it did not happen within a minute", sourceLocation: sourceLocation)
  throw CancellationError()
}
