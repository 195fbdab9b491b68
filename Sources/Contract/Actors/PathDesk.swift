public import Distributed
public import IorunRuntime
public import IorunWire

/// One node's search for paths, for its head. See `PathDeskService`.
public distributed actor PathDesk: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "paths"
  /// Calls do not wait for each other.
  public static let maxConcurrentCalls = 1024
  /// Paths must not wait behind what needs them.
  public static let trafficClass = TrafficClass.control

  private let service: any PathDeskService

  /// Serves `service` on the mesh.
  public init(_ service: any PathDeskService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Somebody who may reach this node wants a path to it.
  public distributed func meet(_ offer: PathOffer) async throws {
    try await service.meet(offer, caller: caller)
  }

  /// Answers at once.
  public distributed func echo() async throws { try await service.echo(caller: caller) }
}
