import Foundation
import Glibc
import IorunContract
import IorunCore

/// The folders of one lease: `work`, where the rank runs, `tmp`, and the log beside them. Its calls
/// do file I/O, so they belong off the cooperative pool.
struct LeaseFolder: Sendable, Hashable {
  /// The folder of the lease.
  let root: String
  /// The scratch of a rank in a sandbox, which has its working folder; `nil` for an ordinary process.
  var scratch: String?
  /// Where logs of ranks in sandboxes are; `nil` for an ordinary process.
  var logs: String?

  /// The folder of a lease below a node's state folder.
  init(_ lease: LeaseID, stateFolder: String) {
    root = "\(Self.all(stateFolder))/\(lease.job)-\(lease.attempt)-\(lease.rank)"
  }

  /// The rank's working folder, which is its home too.
  var work: String { scratch.map { $0 + RankSeal.folder } ?? root + "/work" }
  /// Where the rank itself finds it.
  var workSeen: String { scratch == nil ? work : RankSeal.folder }
  /// The rank's `TMPDIR`, where it finds it.
  var temporarySeen: String { scratch == nil ? temporary : "/tmp" }
  /// The rank's `TMPDIR` as an ordinary process.
  var temporary: String { root + "/tmp" }
  /// What the rank printed.
  var log: String {
    logs.map { "\($0)/\((root as NSString).lastPathComponent)" } ?? root + "/log"
  }

  /// Makes the folders anew, readable by this user alone. Throws `diskFull` or `fileSystem`.
  func make() throws {
    try Self.remove(root)
    for folder in [root, work, temporary] {
      do {
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: true,
          attributes: [.posixPermissions: 0o700])
      } catch {
        throw FileFailure.error(error, "cannot make", folder)
      }
    }
  }

  /// Removes everything. Throws `fileSystem`.
  func remove() throws {
    if logs != nil {
      try Self.remove(log)
      try Self.remove(log + LogMark.suffix)
    }
    try Self.remove(root)
  }

  /// Removes the folders that an agent left that was killed. Its ranks were killed with it; where
  /// one is still on its way out, the removal is tried again.
  static func removeLeftovers(stateFolder: String) throws {
    for name in (try? FileManager.default.contentsOfDirectory(atPath: all(stateFolder))) ?? [] {
      try remove("\(all(stateFolder))/\(name)")
    }
  }

  /// The folder of all leases' folders.
  static func all(_ stateFolder: String) -> String { stateFolder + "/leases" }

  private static func remove(_ path: String) throws {
    var failure: any Error = CocoaError(.fileWriteUnknown)
    for pause in [0, 20, 100, 500] as [UInt32] {
      if pause > 0 { usleep(pause * 1000) }
      var status = stat()
      if lstat(path, &status) != 0 && errno == ENOENT { return }
      do {
        try FileManager.default.removeItem(atPath: path)
        return
      } catch {
        failure = error
        unlock(path)
      }
    }
    throw FileFailure.error(failure, "cannot remove", path)
  }

  /// Gives the owner access to every folder below: a job may have taken it away.
  private static func unlock(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else { return }
    chmod(path, 0o700)
    for name in (try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [] {
      unlock("\(path)/\(name)")
    }
  }
}
