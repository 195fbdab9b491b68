internal import Foundation
internal import IorunCore

/// Finds the executable that a spec's `swift:` key names: built beside the running iorun, else built
/// now from the Swift package that holds the spec.
enum SwiftProduct {
  /// The path of the executable. Blocks while a build runs.
  ///
  /// - Parameters:
  ///   - target: the product's name.
  ///   - folder: where the search for `Package.swift` begins, going up.
  ///   - program: the running iorun.
  /// - Throws: `fileMissing` where there is no such product; `specInvalid` where it does not build.
  static func find(_ target: String, near folder: String, program: String) throws -> String {
    let beside = URL(fileURLWithPath: program).deletingLastPathComponent().path + "/" + target
    if FileManager.default.isExecutableFile(atPath: beside) { return beside }
    guard let package = packageFolder(above: folder) else {
      throw IorunError(
        .fileMissing, "there is no executable '\(target)' and no Package.swift to build it from",
        remedy: "Put the spec into the Swift package that has the product '\(target)'")
    }
    try swift(["build", "-c", "release", "--product", target], in: package, target: target)
    let output = try swift(
      ["build", "-c", "release", "--show-bin-path"], in: package, target: target)
    let path = output.trimmingCharacters(in: .whitespacesAndNewlines) + "/" + target
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw IorunError(
        .fileMissing, "the package in \(package) built no executable '\(target)'",
        remedy: "Check the product's name in Package.swift")
    }
    return path
  }

  private static func packageFolder(above folder: String) -> String? {
    var url = URL(fileURLWithPath: folder).standardizedFileURL
    while true {
      let candidate = url.appendingPathComponent("Package.swift").path
      if FileManager.default.fileExists(atPath: candidate) { return url.path }
      if url.path == "/" { return nil }
      url.deleteLastPathComponent()
    }
  }

  @discardableResult
  private static func swift(_ arguments: [String], in folder: String, target: String) throws
    -> String
  {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["swift"] + arguments
    process.currentDirectoryURL = URL(fileURLWithPath: folder)
    let output = Pipe()
    process.standardOutput = output
    // The compiler's own progress and errors go where the user looks.
    process.standardError = FileHandle.standardError
    do {
      try process.run()
    } catch {
      throw IorunError(
        .fileMissing, "'\(target)' must be built, and `swift` cannot be started",
        remedy: "Install the Swift toolchain, or build the product beforehand", cause: error)
    }
    let bytes = try output.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw IorunError(
        .specInvalid, "the Swift product '\(target)' does not build",
        remedy:
          "Mend what the compiler says above:\n\(String(decoding: bytes.suffix(4000), as: UTF8.self))"
      )
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
