internal import Foundation
internal import IorunClient
internal import IorunCore

/// Where commands write: whole, unbuffered, and quietly ending when nobody reads any more.
enum Output {
  static let style = TerminalStyle.detect(fileDescriptor: STDOUT_FILENO)
  static let errorStyle = TerminalStyle.detect(fileDescriptor: STDERR_FILENO)

  static func write(_ text: String) { write(Data(text.utf8)) }

  static func write(_ data: Data) { write(data, to: .standardOutput) }

  static func writeError(_ text: String) { write(Data(text.utf8), to: .standardError) }

  private static func write(_ data: Data, to handle: FileHandle) {
    guard !data.isEmpty else { return }
    do {
      try handle.write(contentsOf: data)
    } catch {
      // The reader is gone: there is nobody left to tell.
      exit(IorunClient.ExitStatus.error.rawValue)
    }
  }

  static var now: Double { Date().timeIntervalSince1970 }
}
