public import IorunCore
internal import IorunCrypto

/// Tells apart the processes that one peer runs at the same time, such as two commands of one user.
///
/// Each process has an address of its own on the mesh, derived from the peer that its key proves, so
/// that nobody can take an address of another peer's. What it may do is what the peer, its
/// principal, may do.
public enum MeshInstance {
  /// The only process of its peer: a head, a node, a rank. Its address is the peer's id.
  public static let only: UInt64 = 0

  /// Draws a number for one of several processes of a peer.
  public static func draw() -> UInt64 { UInt64.random(in: 1 ... .max) }

  /// The address of a peer's process.
  public static func address(of instance: UInt64, of principal: PeerID) -> PeerID {
    guard instance != only else { return principal }
    let number = (0..<8).map { UInt8(truncatingIfNeeded: instance >> (56 - 8 * $0)) }
    return CurveKey.peer(of: Array("iorun instance 1".utf8) + principal.bytes + number)
  }
}
