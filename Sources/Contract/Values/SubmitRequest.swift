public import IorunContent
public import IorunCore

/// A job as a client hands it in. Its chunks are uploaded before.
public struct SubmitRequest: Hashable, Codable, Sendable {
  /// Drawn by the client, so that a submit that is sent twice is one job. 1 to 64 characters.
  public var submissionID: String
  /// What to run.
  public var spec: JobSpec
  /// The encoded `Manifest` of the working folder, or `nil` for an empty one.
  public var workingFolder: Blob?

  /// Describes a submit.
  public init(submissionID: String, spec: JobSpec, workingFolder: Blob?) {
    self.submissionID = submissionID
    self.spec = spec
    self.workingFolder = workingFolder
  }
}
