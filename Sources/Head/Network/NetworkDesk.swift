internal import IorunContract
internal import IorunCore

/// The network at a glance, its nodes and its tickets.
struct NetworkDesk: NetworkService {
  let head: PeerID
  let startedAt: Double
  let store: Store
  let director: JobDirector
  let book: TicketBook
  let authoriser: Authoriser

  func status(caller: PeerID) async throws -> NetworkStatus {
    let role = try authoriser.check(caller, may: .seeNetwork)
    let inventory = await director.inventory()
    let totals = inventory.totals
    var nodes: [String: Int] = [:]
    for node in inventory.nodes { nodes[node.state.rawValue, default: 0] += 1 }
    let jobs = try await store.jobCounts(owner: role == .operator ? nil : caller)
    return NetworkStatus(
      head: head, version: IorunVersion.release, startedAt: startedAt, nodes: nodes,
      capacity: totals.capacity, free: totals.free, jobs: jobs)
  }

  func nodes(caller: PeerID) async throws -> [NodeStatus] {
    try authoriser.check(caller, may: .seeNetwork)
    let inventory = await director.inventory()
    return inventory.nodes.map { node in
      NodeStatus(
        id: node.id, facts: node.facts, state: node.state, free: inventory.free(of: node),
        leases: inventory.holdings[node.id]?.leases ?? 0, lastSeenAt: node.lastSeenAt,
        roundTripMilliseconds: node.roundTripMilliseconds)
    }
  }

  func createTicket(_ request: TicketRequest, caller: PeerID) async throws -> String {
    try authoriser.check(caller, may: .issueTickets)
    return try await book.create(request)
  }

  func tickets(caller: PeerID) async throws -> [TicketStatus] {
    try authoriser.check(caller, may: .issueTickets)
    return try await book.list()
  }

  func revokeTicket(_ id: String, caller: PeerID) async throws {
    try authoriser.check(caller, may: .issueTickets)
    try await book.revoke(id)
  }
}
