import CShim
import Glibc
import IorunCore

/// The network and the mounts that a rank sees, held open. Closes itself.
final class RankNamespaces: Sendable {
  /// A descriptor, or -1 where the rank shares this process's.
  let network: Int32
  /// A descriptor, or -1 where the rank shares this process's.
  let mounts: Int32

  /// Opens those of a process that is surely there. Throws `spawnFailed`.
  init(of process: pid_t) throws {
    var network: Int32 = -1
    var mounts: Int32 = -1
    var failure = iorun_namespace_of(process, "net", &network)
    if failure == 0 { failure = iorun_namespace_of(process, "mnt", &mounts) }
    self.network = network
    self.mounts = mounts
    guard failure == 0 else {
      throw IorunError(
        .spawnFailed,
        "the rank's network cannot be entered: \(String(cString: strerror(-failure)))",
        remedy: "Ask the node's owner whether the agent still has its rights")
    }
  }

  deinit {
    for descriptor in [network, mounts] where descriptor >= 0 { close(descriptor) }
  }
}
