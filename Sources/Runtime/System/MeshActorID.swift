public import IorunCore

/// Where a distributed actor lives: a peer, and a name that is unique there. Reachable from any peer
/// of the mesh.
public struct MeshActorID: Hashable, Codable, Sendable, CustomStringConvertible {
  /// The peer whose process runs the actor.
  public var peer: PeerID
  /// A well-known name such as `job-manager`, or one that the system drew.
  public var name: String

  /// Names an actor.
  public init(peer: PeerID, name: String) {
    self.peer = peer
    self.name = name
  }

  /// `name@peer`, with the peer's short id.
  public var description: String { "\(name)@\(peer.short)" }
}
