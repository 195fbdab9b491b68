internal import GRDB
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// The table `outputs`.
extension Store {
  /// What the ranks above `rank` of one attempt left behind, by rank: at least one rank where there
  /// is one, and no further one beyond `mostChunks` entries and digests together.
  func outputs(
    of job: JobID, attempt: Int, after rank: Int, mostChunks: Int
  ) async throws -> [RankOutputs] {
    try await read { db in
      let rows = try Row.fetchCursor(
        db, sql: "SELECT * FROM outputs WHERE job = ? AND attempt = ? AND rank > ? ORDER BY rank",
        arguments: [job.description, attempt, rank])
      var found: [RankOutputs] = []
      var room = mostChunks
      while let row = try rows.next() {
        let list = try StoredJSON.value(OutputList.self, row["list"])
        room -= 1 + list.content.chunks.count
        if room < 0, !found.isEmpty { break }
        found.append(RankOutputs(rank: row["rank"], list: list))
      }
      return found
    }
  }

  static func save(_ outputs: LeaseOutputs, _ db: Database) throws {
    let lease = outputs.lease
    try db.execute(
      sql: "INSERT OR REPLACE INTO outputs (job, attempt, rank, list) VALUES (?, ?, ?, ?)",
      arguments: [
        lease.job.description, lease.attempt, lease.rank, try StoredJSON.text(outputs.list),
      ])
  }
}
