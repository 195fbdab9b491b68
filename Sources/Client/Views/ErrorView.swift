public import IorunCore

/// An error in JSON, on stdout in the place of a result.
public struct ErrorView: Encodable, Sendable {
  let error: Body

  /// What went wrong.
  struct Body: Encodable, Sendable {
    let code: String
    let message: String
    let cause: String?
    let remedy: String?
    let exitStatus: Int32
  }

  /// Shows an error.
  public init(_ error: IorunError) {
    self.error = Body(
      code: error.code.description, message: error.message, cause: error.cause,
      remedy: error.remedy, exitStatus: ExitStatus(for: error.code).rawValue)
  }
}
