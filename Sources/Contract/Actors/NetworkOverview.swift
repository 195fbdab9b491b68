public import Distributed
public import IorunRuntime

/// The network itself, for clients. See `NetworkService`.
public distributed actor NetworkOverview: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "network"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024

  private let service: any NetworkService

  /// Serves `service` on the mesh.
  public init(_ service: any NetworkService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// The network at a glance.
  public distributed func status() async throws -> NetworkStatus {
    try await service.status(caller: caller)
  }

  /// All nodes, by name.
  public distributed func nodes() async throws -> [NodeStatus] {
    try await service.nodes(caller: caller)
  }

  /// The sites that the nodes are in.
  public distributed func sites() async throws -> NetworkSites {
    try await service.sites(caller: caller)
  }

  /// Makes a ticket and returns its text.
  public distributed func createTicket(_ request: TicketRequest) async throws -> String {
    try await service.createTicket(request, caller: caller)
  }

  /// All tickets, newest first.
  public distributed func tickets() async throws -> [TicketStatus] {
    try await service.tickets(caller: caller)
  }

  /// Makes a ticket useless.
  public distributed func revokeTicket(_ ticket: String) async throws {
    try await service.revokeTicket(ticket, caller: caller)
  }

  /// All peers that were ever admitted.
  public distributed func peers() async throws -> [PeerStatus] {
    try await service.peers(caller: caller)
  }

  /// Ends a peer's membership.
  public distributed func revokePeer(_ reference: String) async throws -> PeerStatus {
    try await service.revokePeer(reference, caller: caller)
  }

  /// The authority's keys, the oldest first.
  public distributed func authorities() async throws -> [AuthorityStatus] {
    try await service.authorities(caller: caller)
  }

  /// Puts a new key in the place of the authority's present one.
  public distributed func rotateAuthority(atOnce: Bool) async throws -> [AuthorityStatus] {
    try await service.rotateAuthority(atOnce: atOnce, caller: caller)
  }

  /// Gives a node no new work, or gives it work again.
  public distributed func drain(_ reference: String, isDrained: Bool) async throws -> NodeStatus {
    try await service.drain(reference, isDrained: isDrained, caller: caller)
  }

  /// A tenant may take this much from now on.
  public distributed func setQuota(_ quota: TenantQuota) async throws -> TenantStatus {
    try await service.setQuota(quota, caller: caller)
  }

  /// A tenant has no quota any more.
  public distributed func removeQuota(_ tenant: String) async throws {
    try await service.removeQuota(of: tenant, caller: caller)
  }

  /// All tenants that have a quota or hold something.
  public distributed func tenants() async throws -> [TenantStatus] {
    try await service.tenants(caller: caller)
  }
}
