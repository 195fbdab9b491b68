import IorunCore
import Testing

/// Expects an `IorunError` with this code.
func expect<Result>(
  throwsCode code: IorunError.Code, sourceLocation: SourceLocation = #_sourceLocation,
  _ body: () async throws -> Result
) async {
  do {
    _ = try await body()
    Issue.record("nothing was thrown, not \(code)", sourceLocation: sourceLocation)
  } catch let error as IorunError {
    #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
  } catch {
    Issue.record("\(error) was thrown, not \(code)", sourceLocation: sourceLocation)
  }
}
