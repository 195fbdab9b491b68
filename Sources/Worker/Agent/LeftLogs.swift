import Foundation
import Glibc
import IorunContract
import IorunCore
import Logging

/// What ranks had printed, and the head did not have yet, when the agent before this one was killed.
///
/// Logs of ranks in sandboxes lie in the agent's vault, whose key outlives an agent: its file system, or
/// the kernel's mapping, has it until the next agent tears it down. So that one reads them first, and
/// keeps them in a vault of its own. After a restart of the machine they are lost.
struct LeftLogs: Sendable {
  /// One log's rest.
  struct Rest: Hashable, Sendable {
    /// Its `start` is the place of the first of `bytes`.
    var mark: LogMark
    var bytes: [UInt8]
  }

  /// One that was kept anew.
  struct Kept: Hashable, Sendable {
    var mark: LogMark
    var file: String
    var length: Int64
  }

  /// Of ranks that ran as ordinary processes.
  private(set) var plain: [Rest] = []
  /// Of ranks in sandboxes: never written to the disk as they are.
  private(set) var sealed: [Rest] = []

  /// The most that is read, of all together: the head has the rest, unless it was away for long.
  static let room = 64 << 20
  /// How much of a rest's end is kept where it does not fit.
  private static let end = 64 << 10
  /// More ranks than a node runs at once.
  private static let most = 1024

  /// Where those are kept that came from ordinary processes, until the head has them.
  static func folder(_ stateFolder: String) -> String { stateFolder + "/left-logs" }

  /// Nothing.
  init() {}

  /// Reads them from a node's state folder, before anything there is torn down. Blocks.
  init(stateFolder: String, room: Int = room) {
    var room = room
    let vaults = Self.names("\(stateFolder)/scratch").filter { $0.hasPrefix(Vault.name + "-") }
    for vault in vaults {
      let folder = "\(stateFolder)/scratch/\(vault)/mount/logs"
      sealed += Self.rests(Self.names(folder).map { "\(folder)/\($0)" }, &room)
    }
    let leases = LeaseFolder.all(stateFolder)
    let kept = Self.folder(stateFolder)
    plain = Self.rests(
      Self.names(leases).map { "\(leases)/\($0)/log\(LogMark.suffix)" }
        + Self.names(kept).map { "\(kept)/\($0)" }, &room)
  }

  /// Keeps them anew: in a vault's folder of logs, or, where there is none, those that were never in one
  /// in a folder of their own. Blocks.
  ///
  /// - Throws: `fileSystem` or `diskFull`.
  func keep(vaultLogs: String?, stateFolder: String) throws -> [Kept] {
    let own = Self.folder(stateFolder)
    try? FileManager.default.removeItem(atPath: own)
    let rests = vaultLogs == nil ? plain : plain + sealed
    guard !rests.isEmpty else { return [] }
    let folder = vaultLogs ?? own
    if vaultLogs == nil, mkdir(folder, 0o700) != 0 {
      throw IorunError.system("cannot make", folder, errno: errno)
    }
    return try rests.enumerated().map { number, rest in
      // No lease's log has such a name.
      let file = "\(folder)/left-\(number)"
      try OpenFile(file, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW).write(rest.bytes)
      try rest.mark.write(beside: file)
      return Kept(mark: rest.mark, file: file, length: Int64(rest.bytes.count))
    }
  }

  private static func names(_ folder: String) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted()
  }

  private static func rests(_ files: [String], _ room: inout Int) -> [Rest] {
    var rests: [Rest] = []
    for file in files where file.hasSuffix(LogMark.suffix) && rests.count < most {
      let log = String(file.dropLast(LogMark.suffix.count))
      guard let mark = LogMark.read(beside: log), let rest = rest(of: log, mark, room),
        !rest.bytes.isEmpty
      else { continue }
      room -= rest.bytes.count
      rests.append(rest)
    }
    return rests
  }

  /// What the head does not have; `nil` where nobody can read it.
  private static func rest(of log: String, _ mark: LogMark, _ room: Int) -> Rest? {
    guard let file = try? OpenFile(log, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
      let status = try? file.status(), status.st_mode & S_IFMT == S_IFREG
    else { return nil }
    let offset = mark.sent - mark.start
    let count = Int64(status.st_size) - offset
    guard count > 0 else { return nil }
    func read(_ count: Int64, at offset: Int64) -> [UInt8]? {
      try? file.read(upTo: Int(count), at: UInt64(offset))
    }
    var next = mark
    next.start = mark.sent
    guard count > room else { return read(count, at: offset).map { Rest(mark: next, bytes: $0) } }
    let last = Int64(min(room / 2, end))
    let first = Int64(room) - last
    guard let begin = read(first, at: offset), let rest = read(last, at: offset + count - last)
    else {
      return nil
    }
    let line =
      "\n[iorun] \(count - first - last) bytes are lost here: the node's agent was killed\n"
    return Rest(mark: next, bytes: begin + Array(line.utf8) + rest)
  }
}

extension LeftLogs.Kept {
  /// How often a head may answer without taking anything.
  private static let mostRepeats = 10
  /// Codes that another call would meet again.
  private static let finalFaults = Retry.reportFaults.union([.notAllowed])

  /// Brings it to the head, for as long as it takes, and removes it.
  ///
  /// - Throws: `CancellationError`, with the file left for the next agent; what the head refuses it with,
  ///   and `fileSystem` where it cannot be read.
  func bring(to head: any HeadLink, retry: Retry) async throws {
    do {
      try await send(to: head, retry: retry)
    } catch let error where !(error is CancellationError) {
      remove()
      throw error
    }
    remove()
  }

  private func send(to head: any HeadLink, retry: Retry) async throws {
    var sent = mark.start
    var repeats = 0
    let end = mark.start + length
    while sent < end, repeats < Self.mostRepeats {
      let offset = sent
      let bytes = try await Blocking.run {
        try OpenFile(file, O_RDONLY)
          .read(upTo: LogSender.chunkSize, at: UInt64(offset - mark.start))
      }
      guard !bytes.isEmpty else { return }
      let answer = try await retry(final: Self.finalFaults) {
        try await head.appendLog(
          mark.lease, epoch: mark.epoch, offset: offset, bytes: Data(bytes))
      }
      // A head that lost its last bytes asks for some that nobody has any more.
      sent = min(max(mark.start, answer), end)
      guard sent <= offset else { continue }
      repeats += 1
      try await retry.clock.sleep(for: retry.pauses.lowerBound)
    }
  }

  private func remove() {
    unlink(file)
    unlink(file + LogMark.suffix)
  }
}

extension NodeAgentCore {
  /// Brings the head what ranks of the agent before this one printed last.
  func bring(_ logs: [LeftLogs.Kept]) async {
    for log in logs {
      do {
        try await log.bring(to: head, retry: retry)
      } catch is CancellationError {
        return
      } catch {
        logger.warning(
          "the rest of a rank's log was not taken",
          metadata: ["lease": "\(log.mark.lease)", "error": "\(error)"])
      }
    }
  }
}
