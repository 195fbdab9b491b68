internal import Foundation
internal import IorunClient
internal import IorunCore

/// What a command line names as the job: a spec file, a Swift product, or a command.
struct JobSource {
  var spec: String?
  var swiftProduct: String?
  var command: [String]

  /// The job, with what the flags say.
  ///
  /// - Throws: `specInvalid` and `fileMissing`, naming the place.
  func submission(_ flags: JobFlags) async throws -> JobSubmission {
    if let spec {
      let url = URL(fileURLWithPath: spec)
      let folder = url.deletingLastPathComponent().path
      let file = try await Blocking.run { try JobSpecFile.load(path: spec) }
      let directory = file.workingDirectory.map {
        $0.hasPrefix("/") ? $0 : folder + "/" + $0
      }
      return try await Self.submission(
        try flags.applied(to: file.spec), workingFolder: flags.workingDirectory ?? directory,
        specFolder: folder,
        imageFolder: flags.image == nil ? folder : FileManager.default.currentDirectoryPath)
    }
    let base = JobSpec(
      name: swiftProduct ?? URL(fileURLWithPath: command[0]).lastPathComponent,
      entrypoint: swiftProduct.map { .swift(target: $0, arguments: command) } ?? .command(command),
      gang: .init(ranks: 1, resources: ResourceSet(milliCPUs: 1000)))
    let here = FileManager.default.currentDirectoryPath
    return try await Self.submission(
      try flags.applied(to: base), workingFolder: flags.workingDirectory, specFolder: here,
      imageFolder: here)
  }

  /// An image that is a path is found now: the plan, too, needs what the spec will say of it.
  private static func submission(
    _ spec: JobSpec, workingFolder: String?, specFolder: String, imageFolder: String
  ) async throws -> JobSubmission {
    var spec = spec
    var image: LocalImage?
    if let text = spec.image {
      image = try await Blocking.run { try LocalImage.find(text, near: imageFolder) }
      if let image { spec.image = image.reference.description }
    }
    return JobSubmission(
      spec: spec, workingFolder: workingFolder, specFolder: specFolder, program: Program.path,
      image: image)
  }
}
