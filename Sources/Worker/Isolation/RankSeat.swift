import CShim
import Foundation
import Glibc
import IorunCore
import Synchronization

/// What a rank in a sandbox needs to drive tasks and actors: memory for the objects of its runtime job
/// and a folder for sockets, both of which it shares with its node's hub. They are there before the rank,
/// because it inherits the one and is shown the other; one runtime job at a time uses them.
final class RankSeat: Sendable {
  /// The user of the rank's processes, on this machine.
  let user: UInt32
  /// The user ids of its sandbox.
  let block: UInt32
  /// The memory.
  let arena: ArenaFile
  /// The folder of sockets, on this machine.
  let directory: String
  /// The rank's working folder, on this machine.
  private let work: String

  private struct State {
    var job: JobID?
    var isClosed = false
  }

  private let state = Mutex(State())

  /// - Parameters:
  ///   - directory: a path where nothing is; the folder above it is the agent's alone.
  ///   - work: the rank's working folder on this machine.
  ///   - arenaBytes: how much there may be of objects.
  /// - Throws: `fileSystem`.
  init(block: UInt32, user: UInt32, directory: String, work: String, arenaBytes: Int64) throws {
    (self.block, self.user, self.directory, self.work) = (block, user, directory, work)
    arena = try ArenaFile(sealed: arenaBytes, path: SealedJobs.arena)
    try HubSocket.makePrivate(directory)
    guard lchown(directory, user, user) == 0 else {
      throw IorunError.system("cannot give away", directory, errno: errno)
    }
  }

  /// The runtime job of the rank that lives, or is just going.
  var job: JobID? { state.withLock { $0.job } }

  /// A runtime job of the rank begins.
  ///
  /// - Throws: `wrongState` where another one of the rank's still lives.
  func take(_ job: JobID) throws {
    let other = state.withLock { state -> String? in
      if state.isClosed { return "the rank has ended" }
      if let other = state.job { return "its runtime job \(other) lives" }
      state.job = job
      return nil
    }
    guard let other else { return }
    throw IorunError(
      .wrongState, "this rank cannot begin a runtime job: \(other)",
      remedy: "It drives one runtime job at a time: end the other one with its detached actors")
  }

  /// The runtime job is over, and none of its processes is left here.
  func leave() {
    let isClosed = state.withLock { state in
      state.job = nil
      return state.isClosed
    }
    isClosed ? remove() : clear()
  }

  /// The rank is over; what a runtime job still uses stays until that has ended.
  func close() {
    let isFree = state.withLock { state in
      state.isClosed = true
      return state.job == nil
    }
    if isFree { remove() }
  }

  // Sockets only; what cannot be removed goes when the node next starts.
  private func clear() {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? [] {
      try? FileManager.default.removeItem(atPath: "\(directory)/\(name)")
    }
  }

  private func remove() { try? FileManager.default.removeItem(atPath: directory) }

  /// A file or folder of the rank, reached without following any link in its working folder.
  final class Reached: Sendable {
    /// Where this process finds it, as long as this value lives.
    let path: String
    private let descriptor: Int32

    fileprivate init(_ descriptor: Int32, name: String?) {
      self.descriptor = descriptor
      path = "/proc/self/fd/\(descriptor)" + (name.map { "/" + $0 } ?? "")
    }

    deinit { Glibc.close(descriptor) }
  }

  /// What the rank sees at `path`, a program or a folder of its own. Blocks on the disk.
  ///
  /// - Throws: `notAllowed` for what does not lie below its working folder, or does through a link.
  func reach(_ path: String, isFolder: Bool) throws -> Reached {
    let parts = path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
    guard path.hasPrefix("/"), parts.first == String(RankSeal.folder.dropFirst()) else {
      throw Self.refusal(path)
    }
    let below = parts.dropFirst()
    let name = isFolder ? nil : below.last
    guard isFolder || name != nil, !below.contains("..") else { throw Self.refusal(path) }
    let root = open(work, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard root >= 0 else { throw IorunError.system("cannot open", work, errno: errno) }
    defer { Glibc.close(root) }
    let folders = isFolder ? below : below.dropLast()
    let descriptor = iorun_open_beneath(
      root, folders.isEmpty ? "." : folders.joined(separator: "/"), O_RDONLY | O_DIRECTORY, 0)
    guard descriptor >= 0 else { throw Self.refusal(path) }
    let reached = Reached(descriptor, name: name)
    // Whoever reads it follows no link either: one may be put there in this moment.
    var status = stat()
    if let name,
      fstatat(descriptor, name, &status, AT_SYMLINK_NOFOLLOW) != 0
        || status.st_mode & S_IFMT != S_IFREG
    {
      throw Self.refusal(path)
    }
    return reached
  }

  private static func refusal(_ path: String) -> IorunError {
    IorunError(
      .notAllowed,
      "'\(path.prefix(200))' is not below the rank's working folder, or leads out of it",
      remedy: "Keep the program and the folder that workers need below \(RankSeal.folder)")
  }
}
