internal import Foundation
internal import GRDB
internal import IorunCore

/// The tables `tickets` and `ticket_uses`.
extension Store {
  /// All tickets, newest first.
  func tickets() async throws -> [TicketRecord] {
    try await read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM tickets ORDER BY created_at DESC, id").map(
        Self.ticket)
    }
  }

  func insert(_ ticket: TicketRecord) async throws {
    try await write { db in
      try db.execute(
        sql: """
          INSERT INTO tickets (id, peer, public_key, role, uses_left, created_at, expires_at,
            revoked, label, owner, labels) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """,
        arguments: [
          ticket.id, ticket.peer.description, Data(ticket.publicKey), ticket.role.rawValue,
          ticket.usesLeft, ticket.createdAt, ticket.expiresAt, ticket.isRevoked, ticket.label,
          ticket.owner, try StoredJSON.text(ticket.labels),
        ])
    }
  }

  /// Makes a ticket useless; false where there is none by that id.
  func revokeTicket(_ id: String) async throws -> Bool {
    try await write { db in
      try db.execute(sql: "UPDATE tickets SET revoked = 1 WHERE id = ?", arguments: [id])
      return db.changesCount > 0
    }
  }

  static func ticket(peer: PeerID, _ db: Database) throws -> TicketRecord? {
    try Row.fetchOne(
      db, sql: "SELECT * FROM tickets WHERE peer = ?", arguments: [peer.description]
    ).map(ticket)
  }

  static func hasUsed(_ ticket: TicketRecord, by peer: PeerID, _ db: Database) throws -> Bool {
    try Row.fetchOne(
      db, sql: "SELECT 1 FROM ticket_uses WHERE ticket = ? AND peer = ?",
      arguments: [ticket.id, peer.description]) != nil
  }

  static func use(_ ticket: TicketRecord, by peer: PeerID, at time: Double, _ db: Database) throws {
    try db.execute(
      sql: "INSERT INTO ticket_uses (ticket, peer, used_at) VALUES (?, ?, ?)",
      arguments: [ticket.id, peer.description, time])
    try db.execute(
      sql: "UPDATE tickets SET uses_left = uses_left - 1 WHERE id = ?", arguments: [ticket.id])
  }

  private static func ticket(_ row: Row) throws -> TicketRecord {
    TicketRecord(
      id: row["id"], peer: try row.named("peer"), publicKey: [UInt8](row["public_key"] as Data),
      role: try row.choice("role"), owner: row["owner"],
      labels: try StoredJSON.value([String: String].self, row["labels"]),
      usesLeft: row["uses_left"], createdAt: row["created_at"],
      expiresAt: row["expires_at"], isRevoked: row["revoked"], label: row["label"])
  }
}
