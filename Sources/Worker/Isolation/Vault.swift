import Foundation
import Glibc
import IorunCore
import IorunSandbox
import Logging

/// Encrypted scratch of the agent itself, for what is left of strangers' work outside their leases'
/// scratch: chunks of working folders, programs of drivers, logs that are still to be sent, objects that
/// do not fit into memory. Its key is in memory only: nothing of it can be read from the disk, or after the
/// agent's end. An agent that is killed leaves it mounted; the next one reads the logs (``LeftLogs``) and
/// tears it down. A file in a lease's own scratch would count as the lease's, and a full one would lose
/// the rank's last words.
final class Vault: Sendable {
  /// Where it is mounted.
  let path: String
  private let mount: ScratchMount

  /// The most that it may hold, where the disk has it.
  private static let most = Bytes.gibi(64)
  private static let least = Bytes.mebi(64)
  /// What the folder of its scratch begins with.
  static let name = "agent"

  /// Opens it, and removes what an agent without one kept as it was. Blocks for up to a second.
  ///
  /// - Throws: as `ScratchPool.openOwn`; `fileSystem` where what was kept cannot be removed.
  init(_ pool: ScratchPool, stateFolder: String) throws {
    for name in Self.folders { try Self.remove("\(stateFolder)/\(name)") }
    var room = statvfs()
    let free =
      statvfs(stateFolder, &room) == 0
      ? Bytes(UInt64(room.f_bavail) * UInt64(room.f_frsize)) : .zero
    // What is in memory is not there for jobs.
    let most = pool.backend?.kind == .tmpfs ? .gibi(1) : Self.most
    mount = try pool.openOwn(Self.name, size: max(Self.least, min(most, Bytes(free.rawValue / 2))))
    path = mount.path
    chmod(path, 0o700)
    for name in Self.folders {
      guard mkdir("\(path)/\(name)", 0o700) == 0 else {
        throw IorunError.system("cannot make", "\(path)/\(name)", errno: errno)
      }
    }
  }

  /// The folder of what `name` says, one of `chunks`, `programs`, `logs` and `spill`.
  private static let folders = ["chunks", "programs", "logs", "spill"]

  /// The folder of logs.
  var logs: String { path + "/logs" }
  /// The folder of objects that do not fit into memory.
  var spill: String { path + "/spill" }

  /// Nothing of it can be read any more. A file that is still open keeps the key until it is closed.
  func close(_ logger: Logger? = nil) {
    do { try mount.close() } catch {
      logger?.warning("the agent's own scratch is left: \(error)")
    }
  }

  private static func remove(_ folder: String) throws {
    guard FileManager.default.fileExists(atPath: folder) else { return }
    do {
      try FileManager.default.removeItem(atPath: folder)
    } catch {
      throw IorunError(.fileSystem, "cannot remove \(folder)", cause: error)
    }
  }
}
