internal import CShim
internal import Glibc
public import IorunCore

/// A network namespace without a name: it lives as long as this value, a process in it, or both. When
/// the process that made it is killed and the ranks in it are gone, the kernel removes it with every
/// interface, address, route and firewall rule in it; so nothing is ever left behind.
public final class NetworkNamespace: Sendable {
  /// The descriptor of the namespace, for a process that is to enter it.
  public let descriptor: Int32

  /// Makes an empty one. Blocks for some milliseconds. Throws `networkSetup`.
  public init() throws(IorunError) {
    let made = iorun_netns_create()
    guard made >= 0 else {
      throw NetworkFailure.error("no network namespace could be made", errno: -made)
    }
    descriptor = made
  }

  /// Takes part in one that another descriptor names, which stays its owner's. Throws `networkSetup`.
  public init(sharing descriptor: Int32) throws(IorunError) {
    let copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else {
      throw NetworkFailure.error("a network namespace cannot be used", errno: errno)
    }
    self.descriptor = copy
  }

  deinit { close(descriptor) }

  /// What tells the namespace from all others of this machine: its inode.
  public var number: UInt64 {
    var status = stat()
    return fstat(descriptor, &status) == 0 ? UInt64(status.st_ino) : 0
  }

  /// A socket that belongs to the namespace, whoever uses it: the descriptor, or the negative errno.
  public func socket(_ domain: Int32, _ type: Int32, _ protocol: Int32) -> Int32 {
    iorun_netns_socket(descriptor, domain, type, `protocol`)
  }
}
