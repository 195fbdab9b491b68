internal import GRDB
internal import IorunCore

/// A node as the head keeps it: a row of `nodes`.
struct NodeRecord: Sendable, Hashable {
  let id: PeerID
  /// What it said last, with the name under which the network knows it.
  var facts: NodeFacts
  /// Seconds since 1970 (UTC).
  var lastSeenAt: Double
  var hasLeft: Bool
  /// True where an operator wants it to get no new work.
  var isDrained = false
  /// How well it kept its promise to be there.
  var service = ServiceRecord()
}

/// The table `nodes`.
extension Store {
  func nodes() async throws -> [NodeRecord] {
    try await read { db in
      try Row.fetchAll(db, sql: "SELECT * FROM nodes ORDER BY name").map { row in
        NodeRecord(
          id: try row.named("id"), facts: try StoredJSON.value(NodeFacts.self, row["facts"]),
          lastSeenAt: row["last_seen"], hasLeft: row["has_left"], isDrained: row["drained"],
          service: ServiceRecord(
            promisedSeconds: row["promised_s"], servedSeconds: row["served_s"],
            losses: row["losses"]))
      }
    }
  }

  func save(_ nodes: [NodeRecord]) async throws {
    try await write { db in
      for node in nodes {
        try db.execute(
          sql: """
            INSERT INTO nodes (id, name, facts, last_seen, has_left, drained, promised_s, served_s,
              losses)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (id) DO UPDATE SET name = excluded.name, facts = excluded.facts,
              last_seen = excluded.last_seen, has_left = excluded.has_left,
              drained = excluded.drained, promised_s = excluded.promised_s,
              served_s = excluded.served_s, losses = excluded.losses
            """,
          arguments: [
            node.id.description, node.facts.name, try StoredJSON.text(node.facts), node.lastSeenAt,
            node.hasLeft, node.isDrained, node.service.promisedSeconds,
            node.service.servedSeconds, node.service.losses,
          ])
      }
    }
  }
}
