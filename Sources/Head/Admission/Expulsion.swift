internal import IorunCore
internal import Synchronization

/// Tells the mesh which peers were revoked, so that their links end.
final class Expulsion: Sendable {
  // A struct: a closure that is a generic type's value itself is wrapped once more at each look.
  private struct Handler {
    var tell: (@Sendable (PeerID) -> Void)?
  }

  private let handler = Mutex(Handler())

  /// Replaces the one that is told.
  func set(_ handler: @escaping @Sendable (PeerID) -> Void) {
    self.handler.withLock { $0.tell = handler }
  }

  /// A peer was revoked.
  func expel(_ peer: PeerID) { handler.withLock { $0.tell }?(peer) }
}
