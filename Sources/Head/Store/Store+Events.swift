internal import GRDB
internal import IorunCore

/// The table `events`, and the commits that write to it.
extension Store {
  /// Everything that changed in one job since its last commit.
  struct JobChange: Sendable {
    var job: JobRecord
    var ranks: [RankRecord]
    var outputs: [LeaseOutputs]
    var events: [JobEvent]
  }

  /// Commits many jobs' changes as one transaction; returns each job's new revision.
  func commit(_ changes: [JobChange], epoch: Int64) async throws -> [JobID: Int64] {
    try await write { db in
      var revisions: [JobID: Int64] = [:]
      for change in changes {
        var job = change.job
        for event in change.events { job.revision = try Self.append(event, of: job.id, db) }
        try Self.update(job, db)
        for rank in change.ranks { try Self.save(rank, db) }
        for outputs in change.outputs { try Self.save(outputs, db) }
        revisions[job.id] = job.revision
      }
      try Self.setMeta("epoch", epoch, db)
      return revisions
    }
  }

  /// A job's history, oldest first.
  func events(of job: JobID) async throws -> [JobEvent] {
    try await read { db in
      try Row.fetchAll(
        db, sql: "SELECT * FROM events WHERE job = ? ORDER BY revision",
        arguments: [job.description]
      ).map { row in
        JobEvent(kind: try row.choice("kind"), detail: row["detail"], time: row["time"])
      }
    }
  }

  /// Drops all but the newest `keeping` events, except those of jobs that are not over.
  func pruneEvents(keeping: Int) async throws {
    try await write { db in
      try db.execute(
        sql: """
          DELETE FROM events
          WHERE revision <= (SELECT coalesce(max(revision), 0) FROM events) - ?
            AND job IN (SELECT id FROM jobs WHERE state IN ('succeeded', 'failed', 'cancelled'))
          """, arguments: [keeping])
    }
  }

  /// Adds an event and returns its revision.
  static func append(_ event: JobEvent, of job: JobID, _ db: Database) throws -> Int64 {
    try db.execute(
      sql: "INSERT INTO events (job, time, kind, detail) VALUES (?, ?, ?, ?)",
      arguments: [job.description, event.time, event.kind.rawValue, event.detail])
    return db.lastInsertedRowID
  }
}
