internal import Foundation
internal import GRDB
internal import IorunCore

/// The table `peers`.
extension Store {
  /// Every peer that was ever admitted.
  func peers() async throws -> [PeerRecord] {
    try await read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM peers ORDER BY admitted_at, id").map(Self.peer)
    }
  }

  /// Keeps a peer; one that was there gets the new role, name and certificate.
  func save(_ peer: PeerRecord) async throws {
    try await write { try Self.save(peer, $0) }
  }

  /// When each revoked peer was revoked, in seconds since 1970 (UTC).
  func revocations() async throws -> [PeerID: Int64] {
    var revocations: [PeerID: Int64] = [:]
    for peer in try await peers() {
      if let time = peer.revokedAt { revocations[peer.id] = Int64(time) }
    }
    return revocations
  }

  static func revoke(_ id: PeerID, at time: Double, _ db: Database) throws {
    try db.execute(
      sql: "UPDATE peers SET revoked_at = ? WHERE id = ?", arguments: [time, id.description])
  }

  static func setCertificate(_ certificate: [UInt8], of id: PeerID, _ db: Database) throws {
    try db.execute(
      sql: "UPDATE peers SET certificate = ? WHERE id = ?",
      arguments: [Data(certificate), id.description])
  }

  static func peer(_ id: PeerID, _ db: Database) throws -> PeerRecord? {
    try Row.fetchOne(db, sql: "SELECT * FROM peers WHERE id = ?", arguments: [id.description])
      .map(peer)
  }

  static func save(_ peer: PeerRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO peers (id, public_key, role, name, certificate, admitted_at, revoked_at,
          owner, labels)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET role = excluded.role, name = excluded.name,
          certificate = excluded.certificate, admitted_at = excluded.admitted_at,
          revoked_at = excluded.revoked_at, owner = excluded.owner, labels = excluded.labels
        """,
      arguments: [
        peer.id.description, Data(peer.publicKey), peer.role.rawValue, peer.name,
        Data(peer.certificate), peer.admittedAt, peer.revokedAt,
        peer.owner, try StoredJSON.text(peer.labels),
      ])
  }

  private static func peer(_ row: Row) throws -> PeerRecord {
    PeerRecord(
      id: try row.named("id"), publicKey: [UInt8](row["public_key"] as Data),
      role: try row.choice("role"), name: row["name"], owner: row["owner"],
      labels: try StoredJSON.value([String: String].self, row["labels"]),
      certificate: [UInt8](row["certificate"] as Data), admittedAt: row["admitted_at"],
      revokedAt: row["revoked_at"])
  }
}
