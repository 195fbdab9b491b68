public import Distributed
public import IorunCore
public import IorunRuntime

/// Jobs at the head, for clients. See `JobService` for what each call means.
public distributed actor JobManager: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "job-manager"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024

  private let service: any JobService

  /// Serves `service` on the mesh.
  public init(_ service: any JobService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Accepts a job.
  public distributed func submit(_ request: SubmitRequest) async throws -> JobStatus {
    try await service.submit(request, caller: caller)
  }

  /// The caller's jobs, newest first.
  public distributed func jobs(limit: Int) async throws -> [JobStatus] {
    try await service.jobs(limit: limit, caller: caller)
  }

  /// One job, when its revision is above `revision` or the wait is over.
  public distributed func watch(_ job: JobID, after revision: Int64, waitMilliseconds: Int)
    async throws
    -> JobStatus
  {
    try await service.watch(
      job, after: revision, waitMilliseconds: waitMilliseconds, caller: caller)
  }

  /// Asks for the end of a job.
  public distributed func cancel(_ job: JobID) async throws -> JobStatus {
    try await service.cancel(job, caller: caller)
  }

  /// Log bytes after `cursors`.
  public distributed func logs(
    _ job: JobID, rank: Int?, cursors: [LogCursor], waitMilliseconds: Int
  ) async throws -> LogBatch {
    try await service.logs(
      job, rank: rank, cursors: cursors, waitMilliseconds: waitMilliseconds, caller: caller)
  }

  /// What the ranks above `rank` of a job that succeeded left behind, as many as fit.
  public distributed func outputs(_ job: JobID, after rank: Int) async throws -> [RankOutputs] {
    try await service.outputs(job, after: rank, caller: caller)
  }

  /// Lets the caller's process of number `instance` reach a running rank for a while.
  public distributed func attach(_ job: JobID, rank: Int, instance: UInt64) async throws
    -> Attachment
  {
    try await service.attach(job, rank: rank, instance: instance, caller: caller)
  }
}
