public import Distributed
public import IorunCore
public import IorunRuntime

/// A distributed actor of which a peer has one, under a name that all peers know.
public protocol WellKnownActor: DistributedActor where ActorSystem == MeshActorSystem {
  /// The name.
  static var wellKnownName: String { get }
}

extension WellKnownActor {
  /// The peer that called, or this process itself for a local call.
  var caller: PeerID { MeshActorSystem.caller ?? id.peer }

  /// A reference to the one at `peer`.
  ///
  /// - Throws: `actorNotFound` where `peer` is this process and has none.
  public static func at(_ peer: PeerID, using system: MeshActorSystem) throws -> Self {
    try resolve(id: MeshActorID(peer: peer, name: wellKnownName), using: system)
  }
}
