internal import GRDB
internal import IorunContract
internal import IorunCore

/// The table `ranks`.
extension Store {
  /// The rank that holds or held `lease`.
  func rank(_ lease: LeaseID) async throws -> RankRecord? {
    try await read { db in
      try Row.fetchOne(
        db, sql: "SELECT * FROM ranks WHERE job = ? AND attempt = ? AND rank = ?",
        arguments: [lease.job.description, lease.attempt, lease.rank]
      ).map(Self.rank)
    }
  }

  static func save(_ rank: RankRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO ranks (job, attempt, rank, node, node_name, address, gpu_indices, epoch, state,
          stop_cause, executor, port, tunnel, cause, last_lines, usage)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (job, attempt, rank) DO UPDATE SET state = excluded.state,
          stop_cause = excluded.stop_cause, executor = excluded.executor, port = excluded.port,
          tunnel = excluded.tunnel, cause = excluded.cause, last_lines = excluded.last_lines,
          usage = excluded.usage
        """,
      arguments: [
        rank.lease.job.description, rank.lease.attempt, rank.lease.rank, rank.node.description,
        rank.nodeName, rank.address, try StoredJSON.text(rank.gpuIndices), rank.epoch,
        rank.state.rawValue, try StoredJSON.text(optional: rank.stopCause),
        rank.executor?.description, rank.port.map { Int($0) },
        try StoredJSON.text(optional: rank.tunnel),
        try StoredJSON.text(optional: rank.cause), try StoredJSON.text(rank.lastLines),
        try StoredJSON.text(optional: rank.usage),
      ])
  }

  static func latestRanks(of job: JobRecord, _ db: Database) throws -> [RankRecord] {
    try Row.fetchAll(
      db, sql: "SELECT * FROM ranks WHERE job = ? AND attempt = ? ORDER BY rank",
      arguments: [job.id.description, job.attempt]
    ).map(rank)
  }

  private static func rank(_ row: Row) throws -> RankRecord {
    var rank = RankRecord(
      lease: LeaseID(job: try row.named("job"), attempt: row["attempt"], rank: row["rank"]),
      node: try row.named("node"), nodeName: row["node_name"], address: row["address"],
      gpuIndices: try StoredJSON.value([Int].self, row["gpu_indices"]), epoch: row["epoch"])
    rank.state = try row.choice("state")
    rank.stopCause = try StoredJSON.value(optional: ExitCause.self, row["stop_cause"])
    if row["executor"] as String? != nil { rank.executor = try row.named("executor") }
    rank.port = (row["port"] as Int?).flatMap { UInt16(exactly: $0) }
    rank.tunnel = try StoredJSON.value(optional: TunnelMember.self, row["tunnel"])
    rank.cause = try StoredJSON.value(optional: ExitCause.self, row["cause"])
    rank.usage = try StoredJSON.value(optional: RankUsage.self, row["usage"])
    rank.lastLines = try StoredJSON.value([String].self, row["last_lines"])
    return rank
  }
}
