internal import GRDB
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// The table `outputs`.
extension Store {
  /// What the ranks of one attempt left behind, by rank and path.
  func outputs(of job: JobID, attempt: Int) async throws -> [OutputFile] {
    try await read { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM outputs WHERE job = ? AND attempt = ? ORDER BY rank, path",
        arguments: [job.description, attempt]
      ).map { row in
        OutputFile(
          rank: row["rank"], path: row["path"],
          content: try StoredJSON.value(Blob.self, row["content"]), executable: row["executable"])
      }
    }
  }

  static func save(_ output: OutputFile, of lease: LeaseID, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT OR REPLACE INTO outputs (job, attempt, rank, path, content, executable)
        VALUES (?, ?, ?, ?, ?, ?)
        """,
      arguments: [
        lease.job.description, lease.attempt, lease.rank, output.path,
        try StoredJSON.text(output.content), output.executable,
      ])
  }
}
