internal import Foundation
internal import IorunContent
public import IorunContract
public import IorunCore

/// A job on its way to the head: reads the working folder, uploads what the head lacks, submits.
public struct JobSubmission: Sendable {
  /// What is being done, for whoever shows progress.
  public enum Step: Sendable, Hashable {
    /// A Swift product is being found or built.
    case building(String)
    /// An image's layout is being read.
    case readingImage(String)
    /// The working folder is being read.
    case reading(String)
    /// Chunks are being uploaded.
    case uploading(done: Bytes, total: Bytes)
    /// The job is being handed in.
    case submitting
  }

  /// What to run.
  public var spec: JobSpec
  /// The folder whose files the ranks find; `nil` for an empty one.
  public var workingFolder: String?
  /// Where the search for a Swift package begins.
  public var specFolder: String
  /// The running iorun, beside which built products lie.
  public var program: String
  /// The image that travels with the job; `nil` where its nodes fetch one, or need none.
  public var image: LocalImage?

  /// Describes a submission.
  public init(
    spec: JobSpec, workingFolder: String?, specFolder: String, program: String,
    image: LocalImage? = nil
  ) {
    self.image = image
    self.spec = spec
    self.workingFolder = workingFolder
    self.specFolder = specFolder
    self.program = program
  }

  /// Hands the job in. Once this returns, the head has it for good.
  ///
  /// - Throws: `fileMissing`, `specInvalid` for what cannot be read; `noPlacement`; what the
  ///   transfer throws.
  public func submit(
    to head: HeadConnection, progress: @escaping @Sendable (Step) -> Void
  ) async throws -> JobStatus {
    let folder = try await upload(to: head, progress: progress)
    progress(.submitting)
    // Drawn once: a submit that has to be repeated is the same job.
    let request = SubmitRequest(
      submissionID: UUID().uuidString, spec: spec, workingFolder: folder)
    for _ in 0..<5 {
      do {
        return try await head.jobs.submit(request)
      } catch let error as IorunError where error.code == .peerLost || error.code == .timedOut {
        // The head restarted in between, or is slow. It knows the submission if it took it.
        try await Task.sleep(for: .milliseconds(500))
      }
    }
    return try await head.jobs.submit(request)
  }

  private func upload(
    to head: HeadConnection, progress: @escaping @Sendable (Step) -> Void
  ) async throws -> Blob? {
    var snapshots: [FolderSnapshot] = []
    if let workingFolder {
      progress(.reading(workingFolder))
      snapshots.append(
        try await Blocking.run { try ManifestBuilder.build(folder: workingFolder) })
    }
    if case .swift(let target, _) = spec.entrypoint {
      progress(.building(target))
      let (specFolder, program) = (specFolder, program)
      snapshots.append(
        try await Blocking.run {
          let path = try SwiftProduct.find(target, near: specFolder, program: program)
          return try ManifestBuilder.build(executable: path, at: "bin/\(target)")
        })
    }
    if let image {
      progress(.readingImage(image.path))
      snapshots.append(try await Blocking.run { try image.snapshot() })
    }
    guard !snapshots.isEmpty else { return nil }
    let uploader = ContentUploader(to: head.content)
    for snapshot in snapshots {
      try await uploader.upload(snapshot.source) { done, total in
        progress(.uploading(done: done, total: total))
      }
    }
    let manifest = snapshots.map(\.manifest).reduce(Manifest(entries: [])) { $0.merging($1) }
    return try await uploader.upload(
      try await Blocking.run { try ManifestCodec.encode(manifest) })
  }
}
