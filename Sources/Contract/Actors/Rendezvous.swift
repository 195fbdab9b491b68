public import Distributed
public import IorunCore
public import IorunRuntime
public import IorunWire

/// Where peers find each other's addresses and relays. See `RendezvousService`.
public distributed actor Rendezvous: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "rendezvous"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Paths must not wait behind what needs them.
  public static let trafficClass = TrafficClass.control

  private let service: any RendezvousService

  /// Serves `service` on the mesh.
  public init(_ service: any RendezvousService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// The relays.
  public distributed func relays() async throws -> [RelayOffer] {
    try await service.relays(caller: caller)
  }

  /// A relay is here (again).
  public distributed func offerRelay(_ registration: RelayRegistration) async throws {
    try await service.offerRelay(registration, caller: caller)
  }

  /// A node says where it is, and hears with which nodes it has business.
  public distributed func report(_ report: PathReport) async throws -> [LinkOffer] {
    try await service.report(report, caller: caller)
  }

  /// Brings the caller together with a node.
  public distributed func meet(
    _ node: PeerID, _ end: PathEnd, relayRoundTripsMilliseconds: [String: Double]
  ) async throws -> PathOffer {
    try await service.meet(
      node, end, relayRoundTripsMilliseconds: relayRoundTripsMilliseconds, caller: caller)
  }

  /// How long a word to a node and back takes, in milliseconds.
  public distributed func echo(_ node: PeerID) async throws -> Double {
    try await service.echo(node, caller: caller)
  }

  /// The caller's passes to the other nodes of a gang.
  public distributed func gangPasses(_ job: JobID, attempt: Int) async throws -> [GangPass] {
    try await service.gangPasses(job, attempt: attempt, caller: caller)
  }

  /// Where nodes are, and which ways they have.
  public distributed func paths() async throws -> [NodePaths] {
    try await service.paths(caller: caller)
  }
}
