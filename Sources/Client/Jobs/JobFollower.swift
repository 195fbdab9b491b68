public import IorunContract
public import IorunCore

/// Follows a job to its end over a mesh that may fail in between: its state, and what it prints.
public struct JobFollower: Sendable {
  /// What happened.
  public enum Event: Sendable {
    /// The job's state or ranks changed.
    case status(JobStatus)
    /// Ranks printed something.
    case output([LogChunk])
    /// The head is out of reach, for the reason given; the job may go on.
    case interrupted(IorunError)
  }

  private let head: HeadConnection
  private let job: JobID
  private let rank: Int?

  /// Follows `job`; only one rank's output where `rank` is given.
  public init(_ job: JobID, at head: HeadConnection, rank: Int? = nil) {
    self.head = head
    self.job = job
    self.rank = rank
  }

  /// Calls `handle` for each event, one at a time, until the job is over and all that it printed
  /// has been handed over.
  ///
  /// - Returns: how the job ended.
  /// - Throws: `notFound`; `CancellationError`.
  public func follow(_ handle: @escaping @Sendable (Event) async -> Void) async throws -> JobStatus
  {
    try await withThrowingTaskGroup(of: JobStatus?.self) { group in
      let relay = EventRelay(handle)
      group.addTask { try await watch(relay) }
      group.addTask {
        try await copyLogs(relay)
        return nil
      }
      var last: JobStatus?
      for try await status in group { last = status ?? last }
      guard let last else { throw CancellationError() }
      return last
    }
  }

  /// Prints what there is, and goes on until the job is over where `follows` is true.
  public func logs(follows: Bool, _ handle: @escaping @Sendable ([LogChunk]) async -> Void)
    async throws
  {
    let relay = EventRelay { event in
      if case .output(let chunks) = event { await handle(chunks) }
    }
    try await copyLogs(relay, follows: follows)
  }

  private func watch(_ relay: EventRelay) async throws -> JobStatus {
    var revision: Int64 = -1
    while true {
      let known = revision
      let status = try await persist(relay) {
        try await head.jobs.watch(job, after: known, waitMilliseconds: 15_000)
      }
      if status.state.isTerminal {
        await relay.send(.status(status))
        return status
      }
      if status.revision > revision {
        await relay.send(.status(status))
      } else {
        // The wait is over, or the head answers at once because too many wait: no busy loop.
        try await Task.sleep(for: .milliseconds(200))
      }
      revision = max(revision, status.revision)
    }
  }

  private func copyLogs(_ relay: EventRelay, follows: Bool = true) async throws {
    var cursors: [LogCursor] = []
    while true {
      let known = cursors
      let batch = try await persist(relay) {
        try await head.jobs.logs(
          job, rank: rank, cursors: known, waitMilliseconds: follows ? 15_000 : 0)
      }
      cursors = batch.cursors
      if !batch.chunks.isEmpty { await relay.send(.output(batch.chunks)) }
      if batch.isComplete || (!follows && batch.chunks.isEmpty) { return }
      if batch.chunks.isEmpty { try await Task.sleep(for: .milliseconds(200)) }
    }
  }

  /// Repeats a read while the head is away; reads have no effect, so they may be repeated.
  private func persist<Result: Sendable>(
    _ relay: EventRelay, _ read: () async throws -> Result
  ) async throws -> Result {
    while true {
      do {
        return try await read()
      } catch let error as IorunError
        where [.peerLost, .unreachable, .timedOut].contains(error.code)
      {
        await relay.send(.interrupted(error))
        try await Task.sleep(for: .milliseconds(500))
      }
    }
  }
}

/// Hands events over one at a time, in the order in which they were sent.
private actor EventRelay {
  private let handle: @Sendable (JobFollower.Event) async -> Void
  private var last: Task<Void, Never>?

  init(_ handle: @escaping @Sendable (JobFollower.Event) async -> Void) { self.handle = handle }

  func send(_ event: JobFollower.Event) async {
    let previous = last
    let task = Task { [handle] in
      await previous?.value
      await handle(event)
    }
    last = task
    await task.value
  }
}
