internal import Foundation

/// One line on stderr that says what is being measured, where somebody looks at it.
enum Progress {
  private static let isTerminal = isatty(STDERR_FILENO) == 1

  static func show(_ text: String) {
    if isTerminal { FileHandle.standardError.write(Data("\r\u{1b}[K\(text)".utf8)) }
  }

  static func clear() { show("") }
}
