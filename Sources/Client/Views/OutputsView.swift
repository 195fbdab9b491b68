internal import IorunContent
public import IorunContract
public import IorunCore

/// What a job left behind in JSON: `outputs`.
public struct OutputsView: Encodable, Sendable {
  let job: String
  let folder: String?
  let outputs: [OutputView]

  /// One file.
  struct OutputView: Encodable, Sendable {
    let rank: Int
    let path: String
    let sizeBytes: UInt64
    let isExecutable: Bool
  }

  /// Shows a job's files; `folder` is where they were written, where they were.
  public init(job: JobID, outputs: [OutputFile], folder: String? = nil) {
    self.job = job.description
    self.folder = folder
    self.outputs = outputs.map {
      OutputView(
        rank: $0.rank, path: $0.path, sizeBytes: $0.content.size.rawValue,
        isExecutable: $0.executable)
    }
  }
}
