internal import Foundation
internal import IorunCore

/// Says to the other agents of a machine that its interfaces forward for somebody. The kernel forgets it
/// with the process, however that ends.
final class EgressClaim: Sendable {
  private let file: Int32

  /// Describes it, and holds nothing yet. Fails where the machine has no /run of root's.
  ///
  /// - Parameter network: the namespace that is spoken of; -1: the present one.
  init?(network: Int32) {
    var status = stat()
    let isKnown =
      network >= 0 ? fstat(network, &status) == 0 : stat("/proc/self/ns/net", &status) == 0
    guard isKnown else { return nil }
    file = open(
      "/run/iorun-egress-\(status.st_ino).lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
    guard file >= 0 else { return nil }
  }

  deinit { close(file) }

  /// Holds it, beside others. Blocks while somebody cleans up.
  func hold() { _ = flock(file, LOCK_SH) }

  /// Runs `body` where nobody else holds it, and nobody can begin to meanwhile. It is no longer held.
  func ifLast(_ body: () -> Void) {
    if flock(file, LOCK_EX | LOCK_NB) == 0 { body() }
    _ = flock(file, LOCK_UN)
  }
}
