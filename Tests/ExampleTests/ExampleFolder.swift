import Foundation

/// Where the examples lie in this checkout.
enum ExampleFolder {
  /// The path of a file below `examples`.
  static func path(_ name: String) -> String {
    URL(fileURLWithPath: #filePath)
      .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("examples").appendingPathComponent(name).path
  }
}
