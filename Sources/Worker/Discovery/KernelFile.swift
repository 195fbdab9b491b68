internal import Foundation

/// Files of `/proc` and `/sys`.
enum KernelFile {
  /// A file's whole text; `nil` where there is none. Such files say size 0, and of those
  /// `String(contentsOfFile:)` and `FileManager.contents` give the first page only, so it is read to
  /// its end.
  static func text(_ path: String) -> String? {
    guard let file = FileHandle(forReadingAtPath: path) else { return nil }
    defer { try? file.close() }
    guard let bytes = try? file.readToEnd() else { return "" }
    return String(decoding: bytes, as: UTF8.self)
  }
}
