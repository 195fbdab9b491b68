internal import IorunContract
internal import IorunCore
internal import IorunMesh

/// The network at a glance, its nodes and its tickets.
struct NetworkDesk: NetworkService {
  let head: PeerID
  let startedAt: Double
  let store: Store
  let director: JobDirector
  let book: TicketBook
  let peerDesk: PeerDesk
  let directory: NodeDirectory
  /// Ends what a revoked peer has of links and work.
  let expel: @Sendable (PeerID) async -> Void
  let authoriser: Authoriser

  func status(caller: PeerID) async throws -> NetworkStatus {
    let role = try authoriser.check(caller, may: .seeNetwork)
    let inventory = await director.inventory()
    let totals = inventory.totals
    var nodes: [String: Int] = [:]
    for node in inventory.nodes { nodes[node.state.rawValue, default: 0] += 1 }
    let jobs = try await store.jobCounts(
      owners: role == .operator ? nil : authoriser.peers.tenant(of: caller))
    return NetworkStatus(
      head: head, version: IorunVersion.release, startedAt: startedAt, nodes: nodes,
      capacity: totals.capacity, free: totals.free, jobs: jobs)
  }

  func nodes(caller: PeerID) async throws -> [NodeStatus] {
    try authoriser.check(caller, may: .seeNetwork)
    let inventory = await director.inventory()
    let ids = inventory.nodes.map(\.id)
    let rates = await director.map.throughputs(of: ids)
    let links = await director.map.linksToHead(of: ids)
    return inventory.nodes.map { node in
      var status = Self.status(node, inventory)
      status.sendMegabitsPerSecond = rates[node.id]?.sends.map { Double($0) }
      status.receiveMegabitsPerSecond = rates[node.id]?.receives.map { Double($0) }
      status.jitterMilliseconds = links[node.id].map { Double($0.jitter) }
      status.lostPart = links[node.id].map { Double($0.loss) }
      return status
    }
  }

  func sites(caller: PeerID) async throws -> NetworkSites {
    try authoriser.check(caller, may: .seeNetwork)
    let inventory = await director.inventory()
    return NetworkSites(inventory.sites, nodes: inventory.nodes)
  }

  private static func status(_ node: NodeSnapshot, _ inventory: Inventory) -> NodeStatus {
    NodeStatus(
      id: node.id, facts: node.facts, state: node.state, free: inventory.free(of: node),
      leases: inventory.holdings[node.id]?.leases ?? 0, lastSeenAt: node.lastSeenAt,
      roundTripMilliseconds: node.roundTripMilliseconds, reason: node.reason,
      isDrained: node.isDrained, ownerHold: node.ownerHold,
      supplier: inventory.standing(of: node).supplier, reliability: node.reliability,
      placeDoubt: inventory.standing(of: node).placeDoubt, mark: node.mark,
      gpuMarks: node.mark == nil ? nil : node.gpuMarks)
  }

  func createTicket(_ request: TicketRequest, caller: PeerID) async throws -> String {
    try authoriser.check(caller, may: .manageNetwork)
    return try await book.create(request)
  }

  func tickets(caller: PeerID) async throws -> [TicketStatus] {
    try authoriser.check(caller, may: .manageNetwork)
    return try await book.list()
  }

  func revokeTicket(_ id: String, caller: PeerID) async throws {
    try authoriser.check(caller, may: .manageNetwork)
    try await book.revoke(id)
  }

  func peers(caller: PeerID) async throws -> [PeerStatus] {
    try authoriser.check(caller, may: .manageNetwork)
    return try await peerDesk.list()
  }

  func revokePeer(_ reference: String, caller: PeerID) async throws -> PeerStatus {
    try authoriser.check(caller, may: .manageNetwork)
    let revoked = try await peerDesk.revoke(reference, caller: caller)
    await expel(revoked.id)
    return revoked
  }

  func authorities(caller: PeerID) async throws -> [AuthorityStatus] {
    try authoriser.check(caller, may: .manageNetwork)
    return try await peerDesk.authorities()
  }

  func rotateAuthority(atOnce: Bool, caller: PeerID) async throws -> [AuthorityStatus] {
    try authoriser.check(caller, may: .manageNetwork)
    try await peerDesk.authority.rotate(now: peerDesk.clock.now(), atOnce: atOnce)
    return try await peerDesk.authorities()
  }

  func setQuota(_ quota: TenantQuota, caller: PeerID) async throws -> TenantStatus {
    try authoriser.check(caller, may: .manageNetwork)
    return try await director.set(quota)
  }

  func removeQuota(of tenant: String, caller: PeerID) async throws {
    try authoriser.check(caller, may: .manageNetwork)
    try await director.removeQuota(of: tenant)
  }

  func tenants(caller: PeerID) async throws -> [TenantStatus] {
    try authoriser.check(caller, may: .manageNetwork)
    return await director.tenants()
  }

  func drain(_ reference: String, isDrained: Bool, caller: PeerID) async throws -> NodeStatus {
    try authoriser.check(caller, may: .manageNetwork)
    let nodes = await director.inventory().nodes
    let node = try PeerReference.find(reference, in: nodes) { ($0.id, $0.facts.name) }
    try await directory.setDrained(node.id, isDrained)
    await director.placeSoon()
    let inventory = await director.inventory()
    guard let changed = inventory.nodes.first(where: { $0.id == node.id }) else {
      throw IorunError(.notFound, "node '\(reference.prefix(64))' is gone")
    }
    return Self.status(changed, inventory)
  }
}
