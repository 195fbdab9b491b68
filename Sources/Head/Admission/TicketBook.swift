internal import GRDB
internal import IorunContract
internal import IorunCore
internal import IorunMesh

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
    let labels = request.labels
    guard MembershipCertificate.isPlain(request.owner),
      labels.count <= MembershipCertificate.labelLimit,
      labels.allSatisfy({ key, value in
        MembershipCertificate.isPlain(key) && MembershipCertificate.isPlain(value) && !key.isEmpty
          && !key.contains("=")
      })
    else {
      throw IorunError(
        .specInvalid,
        "a ticket's owner and labels have at most \(MembershipCertificate.textLimit) bytes each, "
          + "without control characters, and there are at most "
          + "\(MembershipCertificate.labelLimit) labels", remedy: "Change these")
    }
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
      owner: request.owner, labels: labels, usesLeft: request.uses, createdAt: now,
      expiresAt: now + request.lifetimeSeconds,
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
      let known = try Store.peer(id, db)
      if let known {
        try Self.checkIsNotRevoked(known)
        if try Store.hasUsed(ticket, by: id, db) { return known }
      }
      try Self.check(ticket, at: now)
      var peer = PeerRecord(
        id: id, publicKey: publicKey, role: known?.role == .operator ? .operator : ticket.role,
        name: name, owner: ticket.owner, labels: ticket.labels, certificate: [], admittedAt: now)
      peer.certificate = try authority.issue(to: peer, now: now)
      try Store.save(peer, db)
      if try !Store.hasUsed(ticket, by: id, db) { try Store.use(ticket, by: id, at: now, db) }
      return peer
    }
    peers.add(peer)
    return admission(of: peer)
  }

  /// Admits a key without a ticket: for peers that the operator starts on the head's own machine.
  ///
  /// - Throws: `peerRevoked`.
  func admitDirectly(publicKey: [UInt8], name: String, role: Role) async throws -> Admission {
    let id = try PeerDirectory.id(of: publicKey)
    let name = NodeFactsCheck.cleanName(name)
    let now = clock.now()
    let authority = authority
    let peer = try await store.write { db in
      if let known = try Store.peer(id, db) { try Self.checkIsNotRevoked(known) }
      var peer = PeerRecord(
        id: id, publicKey: publicKey, role: role, name: name, certificate: [], admittedAt: now)
      peer.certificate = try authority.issue(to: peer, now: now)
      try Store.save(peer, db)
      return peer
    }
    peers.add(peer)
    return admission(of: peer)
  }

  func renew(caller: PeerID) async throws -> Admission {
    try Authoriser(peers: peers).check(caller, may: .beMember)
    let now = clock.now()
    let authority = authority
    let peer = try await store.write { db in
      guard var peer = try Store.peer(caller, db), peer.revokedAt == nil else {
        throw IorunError(.peerRevoked, "peer \(caller.short) was revoked")
      }
      peer.certificate = try authority.issue(to: peer, now: now)
      try Store.setCertificate(peer.certificate, of: caller, db)
      return peer
    }
    return admission(of: peer)
  }

  private func admission(of peer: PeerRecord) -> Admission {
    Admission(
      peer: peer.id, role: peer.role, certificate: peer.certificate, trust: authority.signedBundle)
  }

  private static func checkIsNotRevoked(_ peer: PeerRecord) throws {
    guard peer.revokedAt == nil else {
      throw IorunError(
        .peerRevoked, "peer \(peer.id.short) was revoked",
        remedy: "Join with a new ticket and a new key: an empty state folder")
    }
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
