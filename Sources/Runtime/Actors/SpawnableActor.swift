public import Distributed

/// A distributed actor that a cluster can make, in any of its processes.
///
/// ```swift
/// distributed actor Counter: SpawnableActor {
///   typealias ActorSystem = ClusterActorSystem
///   private var count: Int
///   init(_ start: Int, actorSystem: ClusterActorSystem) {
///     self.actorSystem = actorSystem
///     count = start
///   }
///   distributed func add(_ n: Int) -> Int { … }
/// }
/// ```
public protocol SpawnableActor: DistributedActor where ActorSystem == ClusterActorSystem {
  /// What it is made from.
  associatedtype Start: Codable & Sendable
  /// Makes the actor.
  init(_ start: Start, actorSystem: ClusterActorSystem) async throws
}

/// A type of actors that a program can run.
struct ActorRegistration: Sendable {
  let name: String
  let make: @Sendable (Payload, ClusterProcess) async throws -> any DistributedActor

  static func actor<Act: SpawnableActor>(_ type: Act.Type) -> ActorRegistration {
    ActorRegistration(name: TypeNames.name(of: type)) { start, process in
      try await Act(
        start.decode(Act.Start.self, in: process), actorSystem: process.actorSystem)
    }
  }
}
