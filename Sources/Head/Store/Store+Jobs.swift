internal import GRDB
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// The table `jobs`.
extension Store {
  /// Keeps a new job, or gives the one that the same owner submitted under the same id before.
  func accept(_ job: JobRecord) async throws -> (record: JobRecord, isNew: Bool) {
    try await write { db in
      if let known = try Self.job(owner: job.owner, submissionID: job.submissionID, db) {
        return (known, false)
      }
      var job = job
      try Self.insert(job, db)
      job.revision = try Self.append(
        JobEvent(kind: .submitted, detail: job.spec.name, time: job.submittedAt), of: job.id, db)
      try Self.update(job, db)
      return (job, true)
    }
  }

  /// The job that `owner` submitted under `submissionID`, with its latest ranks.
  func job(owner: PeerID, submissionID: String) async throws -> (JobRecord, [RankRecord])? {
    try await read { db in
      guard let job = try Self.job(owner: owner, submissionID: submissionID, db) else { return nil }
      return (job, try Self.latestRanks(of: job, db))
    }
  }

  /// One job with the ranks of its latest attempt.
  func job(_ id: JobID) async throws -> (JobRecord, [RankRecord])? {
    try await read { db in
      guard
        let row = try Row.fetchOne(
          db, sql: "SELECT * FROM jobs WHERE id = ?", arguments: [id.description])
      else { return nil }
      let job = try Self.job(row)
      return (job, try Self.latestRanks(of: job, db))
    }
  }

  /// Jobs, newest first; only those of `owners` where given.
  func jobs(owners: Set<PeerID>?, limit: Int) async throws -> [(JobRecord, [RankRecord])] {
    try await read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM jobs WHERE ?1 IS NULL OR owner IN (SELECT value FROM json_each(?1))
          ORDER BY submitted_at DESC, id DESC LIMIT ?2
          """, arguments: [try StoredJSON.text(optional: owners), limit]
      ).map { row in
        let job = try Self.job(row)
        return (job, try Self.latestRanks(of: job, db))
      }
    }
  }

  /// Every job that is not over, oldest first.
  func liveJobs() async throws -> [(JobRecord, [RankRecord])] {
    try await read { db in
      try Row.fetchAll(
        db,
        sql: """
          SELECT * FROM jobs WHERE state NOT IN ('succeeded', 'failed', 'cancelled')
          ORDER BY submitted_at, id
          """
      ).map { row in
        let job = try Self.job(row)
        return (job, try Self.latestRanks(of: job, db))
      }
    }
  }

  /// For how many seconds the last attempts ran of the jobs that were submitted last and are over. Of
  /// attempts before a job's last one no time is kept, and who was cancelled while it was queued had
  /// stopped running before.
  func lengths(ofLast limit: Int) async throws -> [Double] {
    try await read { db in
      try Double.fetchAll(
        db,
        sql: """
          SELECT ended_at - started_at FROM jobs
          WHERE state IN ('succeeded', 'failed', 'cancelled')
            AND started_at IS NOT NULL AND ended_at IS NOT NULL
            AND (state <> 'cancelled' OR ending = ?)
          ORDER BY submitted_at DESC LIMIT ?
          """, arguments: [try StoredJSON.text(JobEnding.cancelled), limit])
    }
  }

  /// How many jobs are in each state; only those of `owners` where given.
  func jobCounts(owners: Set<PeerID>?) async throws -> [String: Int] {
    try await read { db in
      let rows = try Row.fetchAll(
        db,
        sql: """
          SELECT state, count(*) AS count FROM jobs
          WHERE ?1 IS NULL OR owner IN (SELECT value FROM json_each(?1)) GROUP BY state
          """, arguments: [try StoredJSON.text(optional: owners)])
      return Dictionary(uniqueKeysWithValues: rows.map { ($0["state"], $0["count"]) })
    }
  }

  static func insert(_ job: JobRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        INSERT INTO jobs (id, submission_id, owner, spec, working_folder, state, attempt,
          unstarted_attempts, epoch, lost_nodes, submitted_at, revision)
        VALUES (?, ?, ?, ?, ?, ?, 0, 0, 0, '[]', ?, 0)
        """,
      arguments: [
        job.id.description, job.submissionID, job.owner.description, try StoredJSON.text(job.spec),
        try StoredJSON.text(optional: job.workingFolder), job.state.rawValue, job.submittedAt,
      ])
  }

  static func update(_ job: JobRecord, _ db: Database) throws {
    try db.execute(
      sql: """
        UPDATE jobs SET state = ?, attempt = ?, unstarted_attempts = ?, epoch = ?, ending = ?,
          lost_nodes = ?, network = ?, reason = ?, exit_status = ?, started_at = ?, ended_at = ?,
          revision = ?, course = ?
        WHERE id = ?
        """,
      arguments: [
        job.state.rawValue, job.attempt, job.unstartedAttempts, job.epoch,
        try StoredJSON.text(optional: job.ending), try StoredJSON.text(job.lostNodes.sorted()),
        try StoredJSON.text(optional: job.network), job.reason, job.exitStatus, job.startedAt,
        job.endedAt, job.revision, try StoredJSON.text(job.course), job.id.description,
      ])
  }

  private static func job(owner: PeerID, submissionID: String, _ db: Database) throws -> JobRecord?
  {
    try Row.fetchOne(
      db, sql: "SELECT * FROM jobs WHERE owner = ? AND submission_id = ?",
      arguments: [owner.description, submissionID]
    ).map(job)
  }

  private static func job(_ row: Row) throws -> JobRecord {
    var job = JobRecord(
      id: try row.named("id"), submissionID: row["submission_id"], owner: try row.named("owner"),
      spec: try StoredJSON.value(JobSpec.self, row["spec"]),
      workingFolder: try StoredJSON.value(optional: Blob.self, row["working_folder"]),
      submittedAt: row["submitted_at"])
    job.state = try row.choice("state")
    job.attempt = row["attempt"]
    job.unstartedAttempts = row["unstarted_attempts"]
    job.epoch = row["epoch"]
    job.ending = try StoredJSON.value(optional: JobEnding.self, row["ending"])
    job.lostNodes = Set(try StoredJSON.value([PeerID].self, row["lost_nodes"]))
    job.network = try StoredJSON.value(optional: OverlayAllotment.self, row["network"])
    job.reason = row["reason"]
    job.exitStatus = row["exit_status"]
    job.startedAt = row["started_at"]
    job.endedAt = row["ended_at"]
    job.revision = row["revision"]
    job.course = try StoredJSON.value(optional: JobCourse.self, row["course"]) ?? JobCourse()
    return job
  }
}
