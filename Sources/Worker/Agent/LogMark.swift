import Foundation
import Glibc
import IorunContract
import IorunCore

/// Whose log a file is and how much of it the head has, in a file beside it: who finds the two after an
/// agent was killed can bring the head the rest.
struct LogMark: Codable, Hashable, Sendable {
  /// The lease whose log it is.
  var lease: LeaseID
  /// The epoch of its grant.
  var epoch: Int64
  /// Where the file's first byte is in the log.
  var start: Int64 = 0
  /// How much of the log the head has for certain; it may have more.
  var sent: Int64 = 0

  /// What the name of a mark's file ends with, after the log's.
  static let suffix = ".mark"
  private static let limit = 4096

  /// Writes it over the one before. Blocks. Throws `fileSystem` or `diskFull`.
  func write(beside log: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    // Its numbers only grow, so that nothing of the one before is left behind it.
    try OpenFile(log + Self.suffix, O_WRONLY | O_CREAT | O_NOFOLLOW)
      .write([UInt8](try encoder.encode(self)))
  }

  /// The one beside a log; `nil` where there is none that can be used. Blocks.
  static func read(beside log: String) -> LogMark? {
    guard
      let bytes = try? OpenFile(log + suffix, O_RDONLY | O_NOFOLLOW | O_NONBLOCK)
        .read(upTo: limit),
      let mark = try? JSONDecoder().decode(LogMark.self, from: Data(bytes)),
      mark.start >= 0, mark.sent >= mark.start
    else { return nil }
    return mark
  }
}
