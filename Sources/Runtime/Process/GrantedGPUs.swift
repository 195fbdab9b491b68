internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The GPUs that a worker was given with its lease, or as an actor: those that its program may use. A
/// worker that has had some gets no others, for its agent ends it when they are given back.
final class GrantedGPUs: Sendable {
  private let granted = Mutex<[Int]>([])

  /// By the node's index; none in a driver.
  var indices: [Int] { granted.withLock { $0 } }

  /// Makes them known to the program, before it is given its first task: libraries look at
  /// `CUDA_VISIBLE_DEVICES` when they start.
  func take(_ indices: [Int]) {
    guard !indices.isEmpty else { return }
    granted.withLock { $0 = indices }
    setenv("CUDA_VISIBLE_DEVICES", indices.map(String.init).joined(separator: ","), 1)
  }

  /// Tells a leased worker, ahead of the first thing that it is asked to do. Nothing where it has none.
  ///
  /// - Throws: `processLost` where the worker is gone.
  static func tell(_ peer: Peer, _ lease: RuntimeLease) throws {
    guard !lease.gpus.isEmpty else { return }
    try peer.send(.leaseInfo) { frame in
      frame.append(integer: UInt16(clamping: lease.gpus.count))
      for gpu in lease.gpus { frame.append(integer: UInt32(clamping: gpu)) }
    }
  }

  /// Takes what `tell` has said.
  ///
  /// - Throws: `malformed`.
  func take(_ cursor: inout FrameCursor) throws {
    let count = try cursor.integer(UInt16.self)
    take(try (0..<count).map { _ in Int(try cursor.integer(UInt32.self)) })
  }
}
