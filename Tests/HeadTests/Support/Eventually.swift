import Testing

/// Looks at a condition until it holds; fails the test after ten seconds.
func eventually(
  _ what: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation,
  _ condition: () async throws -> Bool
) async throws {
  let deadline = ContinuousClock.now + .seconds(10)
  while ContinuousClock.now < deadline {
    if try await condition() { return }
    try await Task.sleep(for: .milliseconds(2))
  }
  Issue.record(what ?? "it did not happen within 10 s", sourceLocation: sourceLocation)
  throw CancellationError()
}
