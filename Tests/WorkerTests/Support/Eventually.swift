import Testing

struct NotInTime: Error, CustomStringConvertible {
  var description: String
}

/// Waits until `condition` gives a value; throws after `seconds`.
func eventually<Value>(
  _ what: String, within seconds: Double = 60, _ condition: () async throws -> Value?
) async throws -> Value {
  let deadline = ContinuousClock.now + .seconds(seconds)
  while ContinuousClock.now < deadline {
    if let value = try await condition() { return value }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw NotInTime(description: "not within \(seconds) s: \(what)")
}

/// Waits until `condition` holds; throws after `seconds`.
func eventually(
  _ what: String, within seconds: Double = 60, _ condition: () async throws -> Bool
) async throws {
  _ = try await eventually(what, within: seconds) { try await condition() ? true : nil } as Bool
}
