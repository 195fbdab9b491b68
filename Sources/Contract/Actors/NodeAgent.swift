public import Distributed
public import IorunCore
public import IorunRuntime
public import IorunWire

/// One node, for its head. See `AgentService`.
public distributed actor NodeAgent: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "agent"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Leases must not wait behind bulk bytes.
  public static let trafficClass = TrafficClass.control

  private let service: any AgentService

  /// Serves `service` on the mesh.
  public init(_ service: any AgentService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Reserves, fetches the working folder, prepares.
  public distributed func prepare(_ grant: LeaseGrant) async throws -> LeasePrepared {
    try await service.prepare(grant, caller: caller)
  }

  /// Starts the rank's process.
  public distributed func start(_ lease: LeaseID, epoch: Int64, gang: GangStart) async throws {
    try await service.start(lease, epoch: epoch, gang: gang, caller: caller)
  }

  /// Stops the rank.
  public distributed func stop(_ lease: LeaseID, cause: ExitCause) async throws {
    try await service.stop(lease, cause: cause, caller: caller)
  }

  /// The lease's end is on record at the head: forget it.
  public distributed func forget(_ lease: LeaseID) async throws {
    try await service.forget(lease, caller: caller)
  }

  /// A client's process may reach a running rank for a while.
  public distributed func admit(_ pass: ClientPass) async throws {
    try await service.admit(pass, caller: caller)
  }

  /// Whether a host answers at an IP address.
  public distributed func reaches(_ address: String, milliseconds: Int) async throws -> Bool {
    try await service.reaches(address, milliseconds: milliseconds, caller: caller)
  }
}
