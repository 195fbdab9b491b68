internal import CShim
internal import Foundation
public import IorunContract
internal import IorunCore
internal import Synchronization

/// The terminal that a person sits at, in raw mode until `restore`: every key goes to the program on
/// the other side. A small process restores it where this one is gone without, `kill -9` included.
public final class RawTerminal: Sendable {
  private let descriptor: Int32
  private let guardian: pid_t
  private let pipe: Mutex<Int32?>

  /// Makes the terminal raw.
  ///
  /// - Throws: `fileSystem` where the descriptor is no terminal.
  public init(_ descriptor: Int32) throws {
    self.descriptor = descriptor
    var guardian: pid_t = 0
    let end = iorun_terminal_make_raw(descriptor, &guardian)
    guard end >= 0 else {
      throw IorunError(
        .fileSystem, "standard input is no terminal",
        remedy: "Leave -t out, or run it in a terminal")
    }
    self.guardian = guardian
    pipe = Mutex(end)
  }

  /// Puts the terminal back as it was. Any number of times.
  public func restore() {
    pipe.withLock { end in
      guard let open = end else { return }
      // The guard restores at the pipe's end; it is short.
      close(open)
      var status: Int32 = 0
      while waitpid(guardian, &status, 0) < 0 && errno == EINTR {}
      end = nil
    }
  }

  deinit { restore() }

  /// How large a terminal is; `nil` for what is none.
  public static func size(of descriptor: Int32) -> TerminalSize? {
    var rows: Int32 = 0
    var columns: Int32 = 0
    guard iorun_terminal_size(descriptor, &rows, &columns) == 0 else { return nil }
    // 0 is what a terminal says that was never told.
    return TerminalSize(
      rows: UInt16(clamping: rows == 0 ? 24 : rows),
      columns: UInt16(clamping: columns == 0 ? 80 : columns))
  }
}
