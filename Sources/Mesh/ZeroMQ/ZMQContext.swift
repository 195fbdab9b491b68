internal import CZeroMQ
internal import Foundation
internal import IorunCore
internal import Synchronization

/// The one libzmq context of this process. libzmq 4.3.4 has faults with several (mesh pitfalls in
/// `docs/ARCHITECTURE.md`), so there is one, and it lives until the process ends.
///
/// `@unchecked Sendable`: the pointer never changes, and libzmq documents `zmq_socket` and
/// `zmq_ctx_set` as thread-safe on a context.
final class ZMQContext: @unchecked Sendable {
  static let shared = ZMQContext()

  let handle: UnsafeMutableRawPointer?

  private init() {
    // libzmq draws routing ids from rand() and never seeds it; a peer that guesses a future id can
    // abort the process. Seed it before the first ROUTER exists.
    var generator = SystemRandomNumberGenerator()
    srand(UInt32.random(in: 0 ... .max, using: &generator))
    handle = zmq_ctx_new()
    if let handle {
      zmq_ctx_set(handle, ZMQ_MAX_SOCKETS, 65_535)
      zmq_ctx_set(handle, ZMQ_IO_THREADS, 1)
    }
  }

  /// The last libzmq error as an error of ours.
  static func lastError(_ doing: String) -> IorunError {
    let number = zmq_errno()
    let text = zmq_strerror(number).map { String(cString: $0) } ?? "error \(number)"
    if number == EADDRINUSE {
      return IorunError(
        .addressInUse, "cannot \(doing): another process listens there",
        remedy: "Choose another address or port, or stop the other process")
    }
    if number == EADDRNOTAVAIL || number == ENODEV {
      return IorunError(
        .addressInUse, "cannot \(doing): this machine has no such address",
        remedy: "Choose an address that `ip address` shows, or 0.0.0.0 for all")
    }
    return IorunError(.unreachable, "cannot \(doing): \(text)")
  }
}
