internal import GRDB
internal import IorunContract
internal import IorunCore

/// Makes tickets and admits peers with them. The same peer joining again with the same ticket is no
/// second use, so that a join whose answer was lost can be repeated.
struct TicketBook: AdmissionService {
  let store: Store
  let peers: PeerDirectory
  let authority: CertificateAuthority
  let clock: HeadClock
  /// Makes a ticket's secret, which needs the mesh's keys and address.
  let makeTicket: @Sendable () throws -> NewTicket

  private static let mostUses = 1_000_000
  private static let longestLifetime = 10.0 * 365 * 86_400
  private static let longestText = 128

  /// Makes a ticket and returns its text. Throws `specInvalid` for a wrong number.
  func create(_ request: TicketRequest) async throws -> String {
    guard (1...Self.mostUses).contains(request.uses), request.lifetimeSeconds.isFinite,
      request.lifetimeSeconds > 0, request.lifetimeSeconds <= Self.longestLifetime,
      request.label.count <= Self.longestText
    else {
      throw IorunError(
        .specInvalid,
        "a ticket needs 1 to \(Self.mostUses) uses, a lifetime of up to 10 years and "
          + "a label of at most \(Self.longestText) characters", remedy: "Change these")
    }
    let fresh = try makeTicket()
    let peer = try PeerDirectory.id(of: fresh.publicKey)
    let now = clock.now()
    let ticket = TicketRecord(
      id: "ticket-" + peer.short, peer: peer, publicKey: fresh.publicKey, role: request.role,
      usesLeft: request.uses, createdAt: now, expiresAt: now + request.lifetimeSeconds,
      isRevoked: false, label: request.label)
    try await store.insert(ticket)
    peers.add(ticket)
    return fresh.text
  }

  /// All tickets, newest first.
  func list() async throws -> [TicketStatus] { try await store.tickets().map(\.status) }

  /// Makes a ticket useless. Throws `notFound`.
  func revoke(_ id: String) async throws {
    guard try await store.revokeTicket(id) else {
      throw IorunError(
        .notFound, "there is no ticket '\(id.prefix(64))'",
        remedy: "List them with `iorun ticket list`")
    }
  }

  func admit(publicKey: [UInt8], name: String, caller: PeerID) async throws -> Admission {
    let id = try PeerDirectory.id(of: publicKey)
    let name = NodeFactsCheck.cleanName(name)
    let now = clock.now()
    let authority = authority
    let peer = try await store.write { db in
      guard let ticket = try Store.ticket(peer: caller, db) else {
        throw IorunError(
          .ticketInvalid, "this head does not know the ticket",
          remedy: "Ask an operator for a new one: iorun ticket create")
      }
      guard try Store.ticket(peer: id, db) == nil else {
        throw IorunError(
          .malformed, "a ticket's key cannot become a peer's key", remedy: "Make a new key")
      }
      let known = try Store.peer(id, db).flatMap { $0.revokedAt == nil ? $0 : nil }
      if let known, try Store.hasUsed(ticket, by: id, db) { return known }
      try Self.check(ticket, at: now)
      let role = known?.role == .operator ? .operator : ticket.role
      let peer = PeerRecord(
        id: id, publicKey: publicKey, role: role, name: name,
        certificate: try authority.issue(to: id, role: role, name: name, now: now),
        admittedAt: now)
      try Store.save(peer, db)
      if try !Store.hasUsed(ticket, by: id, db) { try Store.use(ticket, by: id, at: now, db) }
      return peer
    }
    peers.add(peer)
    return Admission(peer: peer.id, role: peer.role, certificate: peer.certificate)
  }

  /// Admits a key without a ticket: for peers that the operator starts on the head's own machine.
  func admitDirectly(publicKey: [UInt8], name: String, role: Role) async throws -> Admission {
    let id = try PeerDirectory.id(of: publicKey)
    let name = NodeFactsCheck.cleanName(name)
    let now = clock.now()
    let peer = PeerRecord(
      id: id, publicKey: publicKey, role: role, name: name,
      certificate: try authority.issue(to: id, role: role, name: name, now: now), admittedAt: now)
    try await store.save(peer)
    peers.add(peer)
    return Admission(peer: id, role: role, certificate: peer.certificate)
  }

  private static func check(_ ticket: TicketRecord, at now: Double) throws {
    let remedy = "Ask an operator for a new one: iorun ticket create"
    if ticket.isRevoked {
      throw IorunError(.ticketSpent, "the ticket was revoked", remedy: remedy)
    }
    if now >= ticket.expiresAt {
      throw IorunError(.ticketExpired, "the ticket's time is over", remedy: remedy)
    }
    if ticket.usesLeft < 1 {
      throw IorunError(
        .ticketSpent, "the ticket has been used as often as it allows", remedy: remedy)
    }
  }
}
