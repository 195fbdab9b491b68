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
  /// Methods that have limits of their own. None, unless a type says otherwise.
  static var concurrencyGroups: [ConcurrencyGroup] { get }
  /// Makes the actor.
  init(_ start: Start, actorSystem: ClusterActorSystem) async throws
}

extension SpawnableActor {
  /// None: all methods share the actor's `maxConcurrency`.
  public static var concurrencyGroups: [ConcurrencyGroup] { [] }
}

/// Methods of an actor that are counted for themselves: so many of their calls run at the same time,
/// however many others wait or run. A question after an actor's health, say, is answered while a long
/// call waits for something.
///
/// Calls of one caller run in their order within a group, and not between groups. It is Swift's actor
/// all the same: only one of its calls runs at a moment, and others go on where it awaits.
public struct ConcurrencyGroup: Sendable, Hashable {
  /// How many calls of the group run at the same time; at least 1.
  public var limit: Int
  /// The methods' names without their arguments: `add` for `add(_:)`.
  public var methods: [String]

  /// Describes a group.
  public init(limit: Int = 1, methods: [String]) {
    self.limit = limit
    self.methods = methods
  }
}

/// A type of actors that a program can run.
struct ActorRegistration: Sendable {
  let name: String
  let groups: [ConcurrencyGroup]
  let make: @Sendable (Payload, ClusterProcess) async throws -> any DistributedActor

  static func actor<Act: SpawnableActor>(_ type: Act.Type) -> ActorRegistration {
    ActorRegistration(
      name: TypeNames.name(of: type), groups: type.concurrencyGroups
    ) { start, process in
      try await Act(
        start.decode(Act.Start.self, in: process), actorSystem: process.actorSystem)
    }
  }
}
