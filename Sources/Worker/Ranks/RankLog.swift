import Foundation
import Glibc
import IorunCore
import Synchronization

/// What one rank printed, in a file that only grows, up to a cap. Beyond that the end is held in memory, and
/// follows when the rank has ended: of a long log the middle is lost, never how it ended. Written by the thread that reads
/// the rank's pipe, read by whoever sends it to the head. All calls but `length` and `isFinished`
/// read or write the file, so they belong off the cooperative pool.
final class RankLog: Sendable {
  /// How large a log may grow, and what a reader is told when it did.
  struct Cap: Sendable {
    /// The bytes kept.
    var size: Bytes
    /// Where the cap is set, in the words of the line at the cut.
    var setting: String
    /// How many of the last bytes of a log that is larger are kept, beside `size`.
    var end = 256 * 1024

    /// 64 MiB.
    static let standard = Cap(size: .mebi(64), setting: "the node")
  }

  private struct State {
    var length: Int64 = 0
    var isFinished = false
    var isCut = false
    /// What was printed last after the cut; at most twice what is kept.
    var end: [UInt8] = []
    /// How many bytes before `end` are lost.
    var lost: Int64 = 0
    var endsLine = true
    /// Why the file does not have all that was printed.
    var failure: String?
  }

  /// Where it is.
  let file: String
  private let descriptor: Int32
  private let cap: Cap
  private let state = Mutex(State())
  private let growthContinuation: AsyncStream<Void>.Continuation
  /// An element after the log grew or was finished; for one reader.
  let growth: AsyncStream<Void>

  /// Makes the file, empty. Throws `fileSystem` or `diskFull`.
  init(file: String, cap: Cap = .standard) throws {
    descriptor = open(file, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw IorunError.system("cannot make", file, errno: errno)
    }
    self.file = file
    self.cap = cap
    (growth, growthContinuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
  }

  deinit { close(descriptor) }

  /// How many bytes there are.
  var length: Int64 { state.withLock { $0.length } }

  /// True once nothing more will come.
  var isFinished: Bool { state.withLock { $0.isFinished } }

  /// Adds what the rank printed; at the cap, one line that says so, and what comes then is held for the
  /// end. Never fails: a rank does not end because its node's disk is full, its log's last line says it.
  func append(_ bytes: UnsafeRawBufferPointer) {
    state.withLock { state in
      guard state.failure == nil, !bytes.isEmpty else { return }
      if state.isCut { return hold(bytes, &state) }
      let room = max(0, Int64(clamping: cap.size.rawValue) - state.length)
      let kept = UnsafeRawBufferPointer(rebasing: bytes.prefix(Int(clamping: room)))
      write(kept, &state)
      guard kept.count < bytes.count, state.failure == nil else { return }
      state.isCut = true
      let line = "[iorun] the log was cut here at \(cap.size); \(cap.setting) sets the limit\n"
      let text = Array(((state.endsLine ? "" : "\n") + line).utf8)
      text.withUnsafeBytes { write($0, &state) }
      hold(UnsafeRawBufferPointer(rebasing: bytes.dropFirst(kept.count)), &state)
    }
    growthContinuation.yield()
  }

  private func hold(_ bytes: UnsafeRawBufferPointer, _ state: inout State) {
    guard let last = bytes.last else { return }
    state.endsLine = last == UInt8(ascii: "\n")
    state.end += bytes
    let surplus = state.end.count - cap.end
    guard surplus > cap.end else { return }
    state.end.removeFirst(surplus)
    state.lost += Int64(surplus)
  }

  /// What was held for the end, after a line that says how much is left out before it.
  private func writeEnd(_ state: inout State) {
    guard state.isCut, !state.end.isEmpty else { return }
    let surplus = max(0, state.end.count - cap.end)
    var end = state.end[surplus...]
    var lost = state.lost + Int64(surplus)
    if lost > 0, let line = end.firstIndex(of: UInt8(ascii: "\n")), line + 1 < end.endIndex {
      lost += Int64(line + 1 - end.startIndex)
      end = end[(line + 1)...]
    }
    let text = lost == 0 ? "" : "[iorun] \(lost) bytes are left out here; these are the last:\n"
    (Array(text.utf8) + end).withUnsafeBytes { write($0, &state) }
    state.end = []
  }

  /// Adds a line of iorun's own.
  func note(_ line: String) {
    let endsLine = state.withLock { $0.endsLine }
    Array("\(endsLine ? "" : "\n")[iorun] \(line)\n".utf8).withUnsafeBytes { append($0) }
  }

  /// Nothing more will come.
  func finish() {
    state.withLock { state in
      writeEnd(&state)
      state.isFinished = true
    }
    growthContinuation.yield()
    growthContinuation.finish()
  }

  /// At most `count` bytes from `offset` on; empty at the end. Throws `fileSystem`.
  func read(from offset: Int64, atMost count: Int) throws -> Data {
    let wanted = Int(clamping: min(Int64(count), length - offset))
    guard wanted > 0, offset >= 0 else { return Data() }
    var bytes = Data(count: wanted)
    let done = bytes.withUnsafeMutableBytes {
      pread(descriptor, $0.baseAddress, $0.count, off_t(offset))
    }
    guard done >= 0 else { throw IorunError.system("cannot read", file, errno: errno) }
    return bytes.prefix(done)
  }

  /// The last `count` lines within the last 64 KiB, each shortened to 2,000 characters.
  func lastLines(_ count: Int) -> [String] {
    let window: Int64 = 64 * 1024
    let start = max(0, length - window)
    guard let bytes = try? read(from: start, atMost: Int(window)) else { return [] }
    var lines = bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
    if lines.last?.isEmpty == true { lines.removeLast() }
    // The window may begin in the middle of a line.
    if start > 0, lines.count > 1 { lines.removeFirst() }
    var texts = lines.suffix(count).map { String(String(decoding: $0, as: UTF8.self).prefix(2000)) }
    if let failure = state.withLock({ $0.failure }) {
      texts.append("[iorun] the rest of the log is lost: \(failure)")
    }
    return texts
  }

  private func write(_ bytes: UnsafeRawBufferPointer, _ state: inout State) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let slice = UnsafeRawBufferPointer(rebasing: rest)
      let done = Glibc.write(descriptor, slice.baseAddress, slice.count)
      if done < 0 && errno == EINTR { continue }
      guard done > 0 else {
        state.failure = String(cString: strerror(done < 0 ? errno : EIO))
        return
      }
      state.length += Int64(done)
      state.endsLine = slice[done - 1] == UInt8(ascii: "\n")
      rest = rest.dropFirst(done)
    }
  }
}
