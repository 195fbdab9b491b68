import Foundation

/// Programs of this package, as they were built beside the tests that run.
public enum BuiltProgram {
  /// The path of a program: of the nearest folder above the running tests that holds it. Its bare name
  /// where there is none, so that a test fails by that name.
  public static func path(_ name: String) -> String {
    let running = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folder = URL(fileURLWithPath: running ?? CommandLine.arguments[0])
    while folder.path.count > 1 {
      folder.deleteLastPathComponent()
      let program = folder.appendingPathComponent(name).path
      if FileManager.default.isExecutableFile(atPath: program) { return program }
    }
    return name
  }
}
