internal import IorunCore
internal import Synchronization

/// Tells the mesh which peers were revoked, so that their links end.
final class Expulsion: Sendable {
  private let handler = Mutex<(@Sendable (PeerID) -> Void)?>(nil)

  /// Replaces the one that is told.
  func set(_ handler: @escaping @Sendable (PeerID) -> Void) {
    self.handler.withLock { $0 = handler }
  }

  /// A peer was revoked.
  func expel(_ peer: PeerID) { handler.withLock { $0 }?(peer) }
}
