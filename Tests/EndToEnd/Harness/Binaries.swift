import Foundation

/// Where the built programs and the examples are: tests run what was built beside them.
enum Binaries {
  /// The folder that the test bundle was built into.
  static let folder: String = {
    // On Linux the test bundle is the running program; elsewhere it is one of its arguments.
    let candidates = [
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "",
      CommandLine.arguments[0], Bundle.main.bundlePath,
    ]
    for candidate in candidates {
      var url = URL(fileURLWithPath: candidate)
      while url.path.count > 1 {
        url.deleteLastPathComponent()
        let path = url.appendingPathComponent("iorun").path
        var isFolder: ObjCBool = false
        if FileManager.default.fileExists(atPath: path, isDirectory: &isFolder),
          !isFolder.boolValue,
          FileManager.default.isExecutableFile(atPath: path)
        {
          return url.path
        }
      }
    }
    return "."
  }()

  /// The program under test.
  static var iorun: String { folder + "/iorun" }

  /// The Swift program that checks runtime jobs.
  static var clusterProgram: String { folder + "/cluster-program" }

  /// The package's root, found from this file.
  static let package = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path

  /// The example that trains a network.
  static var digits: String { package + "/examples/train-digits" }
}
