public import Distributed
public import IorunRuntime
public import IorunWire

/// Nodes at the head, for nodes. See `NodeService` for what each call means.
public distributed actor NodeRegistry: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "node-registry"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Never behind bulk bytes.
  public static let trafficClass = TrafficClass.control

  private let service: any NodeService

  /// Serves `service` on the mesh.
  public init(_ service: any NodeService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// A node is here (again).
  public distributed func register(_ registration: NodeRegistration) async throws -> NodeOrders {
    try await service.register(registration, caller: caller)
  }

  /// A node is still here.
  public distributed func heartbeat(leases: [LeaseID], roundTripMilliseconds: Double?) async throws
    -> NodeOrders
  {
    try await service.heartbeat(
      leases: leases, roundTripMilliseconds: roundTripMilliseconds, caller: caller)
  }

  /// The node's owner lets it take new work, or no more.
  public distributed func announce(_ availability: NodeAvailability) async throws {
    try await service.announce(availability, caller: caller)
  }

  /// A lease changed.
  public distributed func report(_ report: LeaseReport) async throws {
    try await service.report(report, caller: caller)
  }

  /// What a node has measured of its ways to others; answers whom to measure next.
  public distributed func measured(_ measurements: NodeMeasurements) async throws -> ProbeOrders {
    try await service.measured(measurements, caller: caller)
  }

  /// A node goes for good.
  public distributed func leave() async throws {
    try await service.leave(caller: caller)
  }
}
