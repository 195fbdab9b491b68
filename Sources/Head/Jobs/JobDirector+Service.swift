internal import IorunContent
internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// What clients ask for. A buyer sees its own jobs and its tenant's; others' are `notFound` to it.
extension JobDirector: JobService {
  private static let longestWait = 20_000
  private static let mostJobs = 1000

  func submit(_ request: SubmitRequest, caller: PeerID) async throws -> JobStatus {
    try authoriser.check(caller, may: .submit)
    if let status = try await known(request, of: caller) { return status }
    try SubmitCheck.check(request)
    guard live.count < options.maximumLiveJobs else {
      throw IorunError(
        .overloaded, "\(live.count) jobs are waiting or running, which is the most there may be",
        remedy: "Try again once some have ended")
    }
    try beginSubmit(by: caller)
    defer { endSubmit(by: caller) }
    if let chunks = request.workingFolder?.chunks {
      let missing = try await missingChunks(chunks)
      guard missing.isEmpty else {
        throw IorunError(
          .fileMissing, "\(missing.count) chunks of the working folder are not at the head",
          remedy: "Upload them and submit again")
      }
    }
    // Nodes that are not verified may become so: a job that wants verified ones waits for them.
    var wanted = request.spec
    wanted.verification = .any
    await hearNews()
    let owner = authoriser.owner(caller)
    if !known.mayFit(wanted, of: owner),
      let refusal = await inventory().refusal(of: wanted, by: owner)
    {
      throw IorunError(
        .noPlacement, refusal.explanation,
        remedy: "Ask for less, or wait until a node that fits has joined")
    }
    var generator = SystemRandomNumberGenerator()
    let draft = JobRecord(
      id: JobID(using: &generator), submissionID: request.submissionID, owner: caller,
      spec: request.spec, workingFolder: request.workingFolder, submittedAt: clock.now())
    let (record, isNew) = try await store.accept(draft)
    guard isNew else { return try await status(of: record.id) }
    live[record.id] = LiveJob(
      lifecycle: JobLifecycle(record: record), at: clock.moment)
    order.append(record.id)
    history.accepted(record.spec)
    placeSoon()
    return record.status(ranks: [])
  }

  func jobs(limit: Int, caller: PeerID) async throws -> [JobStatus] {
    let role = try authoriser.check(caller, may: .seeJobs)
    let limit = min(max(0, limit), Self.mostJobs)
    let jobs = try await store.jobs(
      owners: role == .operator ? nil : authoriser.peers.tenant(of: caller), limit: limit)
    return StatusBudget.list(jobs.map { $0.0.status(ranks: $0.1) })
  }

  func watch(
    _ job: JobID, after revision: Int64, waitMilliseconds: Int, caller: PeerID
  ) async throws -> JobStatus {
    let listener = statusBell.listen(to: job)
    let status = try await visible(job, to: caller)
    guard status.revision <= revision, !status.state.isTerminal, waitMilliseconds > 0,
      beginWait(of: caller)
    else { return status }
    defer { endWait(of: caller) }
    await listener.wait(atMost: Self.wait(waitMilliseconds), clock)
    return try await visible(job, to: caller)
  }

  func cancel(_ job: JobID, caller: PeerID) async throws -> JobStatus {
    _ = try await visible(job, to: caller)
    apply(.cancelRequested, to: job)
    try await settle()
    return try await status(of: job)
  }

  func logs(
    _ job: JobID, rank: Int?, cursors: [LogCursor], waitMilliseconds: Int, caller: PeerID
  ) async throws -> LogBatch {
    let mayWait = waitMilliseconds > 0 && beginWait(of: caller)
    defer { if mayWait { endWait(of: caller) } }
    let deadline = clock.elapsed() + (mayWait ? Self.wait(waitMilliseconds) : .zero)
    while true {
      let listener = logBell.listen(to: job)
      // The state first: a job that is over prints nothing more.
      let status = try await visible(job, to: caller)
      if let rank, !(0..<status.spec.gang.ranks).contains(rank) {
        throw IorunError(
          .notFound, "\(job) has no rank \(rank): its ranks are 0 to \(status.spec.gang.ranks - 1)",
          remedy: "Name one of these")
      }
      let (chunks, next, hasMore) = try await archive.read(job, rank: rank, after: cursors)
      let isComplete = status.state.isTerminal && !hasMore
      let left = deadline - clock.elapsed()
      if !chunks.isEmpty || isComplete || left <= .zero || Task.isCancelled {
        return LogBatch(chunks: chunks, cursors: next, isComplete: isComplete)
      }
      await listener.wait(atMost: left, clock)
    }
  }

  func outputs(_ job: JobID, after rank: Int, caller: PeerID) async throws -> [RankOutputs] {
    let status = try await visible(job, to: caller)
    guard status.state == .succeeded else {
      throw IorunError(
        .wrongState,
        "\(job) has no outputs: it is \(status.state.rawValue), and only success leaves some",
        remedy: status.state.isTerminal ? "Read its logs to see why" : "Wait until it has ended")
    }
    // With 70 bytes for each of them the answer stays far below the largest message.
    return try await store.outputs(
      of: job, attempt: status.attempt, after: rank, mostChunks: 4096)
  }

  /// Counts a submit until `endSubmit`, so that many at once cannot pass the owner's bound either.
  private func beginSubmit(by owner: PeerID) throws {
    let present = live.values.count { $0.lifecycle.record.owner == owner }
    guard present + submitting[owner, default: 0] < options.maximumLiveJobsOfOwner else {
      throw IorunError(
        .overloaded,
        "\(present) of your jobs are waiting or running, which is the most there may be",
        remedy: "Wait until some have ended, or cancel some")
    }
    submitting[owner, default: 0] += 1
  }

  private func endSubmit(by owner: PeerID) {
    submitting[owner, default: 0] -= 1
    if submitting[owner] == 0 { submitting[owner] = nil }
  }

  /// Whether `caller` may wait for news: a caller with very many waits would take the turns of all
  /// others. True obliges to `endWait`.
  private func beginWait(of caller: PeerID) -> Bool {
    guard waiting[caller, default: 0] < options.maximumWaits else { return false }
    waiting[caller, default: 0] += 1
    return true
  }

  private func endWait(of caller: PeerID) {
    waiting[caller, default: 0] -= 1
    if waiting[caller] == 0 { waiting[caller] = nil }
  }

  /// What the head told of a job last; for whoever may see it.
  func visible(_ job: JobID, to caller: PeerID) async throws -> JobStatus {
    try authoriser.check(caller, may: .seeJobs)
    let status = try await status(of: job)
    guard authoriser.mayReach(status.owner, caller) else { throw Self.unknown(job) }
    return status
  }

  /// Why a job's ranks were placed where they are; `nil` for one that was not placed.
  func choice(of job: JobID) async throws -> PlacementChoice? {
    if let job = live[job] { return job.lifecycle.record.course.choice }
    return try await store.job(job)?.0.course.choice
  }

  private func status(of job: JobID) async throws -> JobStatus {
    if let status = live[job]?.committed { return status }
    guard let (record, ranks) = try await store.job(job) else { throw Self.unknown(job) }
    return record.status(ranks: ranks)
  }

  private func known(_ request: SubmitRequest, of caller: PeerID) async throws -> JobStatus? {
    let known = try await store.job(owner: caller, submissionID: request.submissionID)
    guard let (record, ranks) = known else { return nil }
    return record.status(ranks: ranks)
  }

  private static func unknown(_ job: JobID) -> IorunError {
    IorunError(
      .notFound, "there is no job \(job)", remedy: "List your jobs with `iorun status`")
  }

  private static func wait(_ milliseconds: Int) -> Duration {
    .milliseconds(min(max(0, milliseconds), longestWait))
  }
}
