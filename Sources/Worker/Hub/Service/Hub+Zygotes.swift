internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// What the hub asks of a zygote.
private struct Fork: Encodable {
  var worker: WorkerID
  var environment: [String: String]
  var name: String
}

/// What a zygote says; each note has some of it.
private struct ZygoteNote: Decodable {
  var worker: WorkerID?
  var pid: Int32?
  var status: Int?
  var signal: Int?
  var maxResidentBytes: Int64?
  var lastLines: [String]?
  var stream: String?
  var lines: [String]?
  var name: String?
  var dropped: Int?
  var text: String?
  var message: String?
}

extension Hub {
  /// The job's environment of that hash.
  func environment(of job: HubJob, hash: String, text: String) -> HubEnvironment {
    if let present = job.environments[hash] { return present }
    let environment = HubEnvironment(job: job, hash: hash, text: text)
    job.environments[hash] = environment
    return environment
  }

  /// Starts a worker process that has been promised; it is in the job's list already. `gpus`: those that
  /// it is known to be for; one that is to have some later sees none until then.
  func start(_ process: HubProcess, gpus: [Int] = []) {
    process.variables = devices(gpus)
    guard let environment = process.job.environments[process.environment] else { return }
    if process.job.record.launcher.kind == .program {
      startProgram(process, environment)
      return
    }
    switch environment.state {
    case .ready(let zygote): fork(process, by: zygote)
    case .none, .failed:
      // A failure is told to those who waited; who comes later tries again.
      environment.waiting.append(process)
      startZygote(environment)
    case .starting: environment.waiting.append(process)
    }
  }

  private func fork(_ process: HubProcess, by zygote: HubConnection) {
    event(
      .fork, to: zygote,
      Fork(
        worker: process.worker, environment: process.variables,
        name: process.actor?.spec.className ?? ""))
  }

  /// Tells a worker's zygote that the worker is about to be ended, not to crash: then what it has started
  /// ends with it, in sessions of their own, too.
  func condemn(_ process: HubProcess) {
    struct Condemned: Encodable { var worker: WorkerID }
    // One that said goodbye may be gone already: its zygote then looks at once.
    guard process.exit == nil || process.farewell != nil,
      case .ready(let zygote) = process.job.environments[process.environment]?.state
    else { return }
    event(.condemned, to: zygote, Condemned(worker: process.worker))
  }

  // MARK: Zygotes

  /// Starts an environment's zygote unless it has one. A job of worker programs has none.
  func startZygote(_ environment: HubEnvironment) {
    switch environment.state {
    case .starting, .ready: return
    case .none, .failed: break
    }
    let job = environment.job
    guard job.record.launcher.kind == .zygote, !isStopping else { return }
    environment.state = .starting
    zygotesStarted += 1
    environment.generation = zygotesStarted
    environment.heardAt = .now
    let place = RuntimeLauncher.Place(
      hub: hubSeen(job), token: job.token, worker: nil, environment: environment.hash,
      runtimeEnv: environment.text)
    let name = environment.hash.isEmpty ? "plain" : String(environment.hash.prefix(16))
    launch(
      job.record, at: place, log: "\(job.logs)/zygote-\(name).log"
    ) { [id = job.id, hash = environment.hash, generation = environment.generation] hub, started in
      guard let environment = hub.jobs[id]?.environments[hash],
        environment.generation == generation
      else {
        started?.process.kill()
        return
      }
      environment.process = started?.process
      environment.log = started?.log
    } ended: {
      [id = job.id, hash = environment.hash, generation = environment.generation] hub, end in
      guard let environment = hub.jobs[id]?.environments[hash],
        environment.generation == generation
      else { return }
      hub.zygoteEnded(environment, end)
    }
  }

  /// Where a job's processes find this hub.
  private func hubSeen(_ job: HubJob) -> String {
    job.sealedUser == nil ? socket.path : SealedJobs.hub
  }

  /// Starts a process below a supervisor, in its job's sandbox where it has one. `ended` is told, after
  /// its end, how it ended and what it printed last; also where it could not be started.
  private func launch(
    _ record: RuntimeJob, at place: RuntimeLauncher.Place, log: String,
    started: @escaping @Sendable (Hub, (process: RankProcess, log: RankLog)?) -> Void,
    ended: @escaping @Sendable (Hub, HubEnd) -> Void
  ) {
    let (launcher, mailbox, job) = (settings.launcher, mailbox, jobs[record.job])
    let files = RuntimeFiles(
      programs: settings.programs, remotes: remotes,
      own: DriverFiles(mailbox: mailbox, programs: settings.programs), node: settings.node)
    let sealing = job?.sealedUser == nil ? nil : settings.sealed
    let (arena, socket) = (job?.store?.file, socket.path)
    // Goes with the job.
    let directory = job?.directory ?? NSTemporaryDirectory()
    Task {
      do {
        guard let sealing else {
          let (record, place) = try await files.present(record, at: place, below: directory)
          let (process, log) = try await launcher.start(record, at: place, log: log)
          if !mailbox.post({ started($0, (process, log)) }) { process.kill() }
          let end = await process.end()
          let lines = try await Blocking.run { log.lastLines(20) }
          mailbox.post { ended($0, HubEnd(cause: end.cause, lines: lines)) }
          return
        }
        guard let arena else { throw IorunError(.cancelled, "job \(record.job) is over") }
        let tree = try await sealing.enter(
          record, at: place, files: files, arena: arena, hub: socket, directory: directory)
        let end: RankProcess.End
        let lines: [String]
        do {
          let (process, log) = try await launcher.start(record, at: place, log: log, in: tree)
          if !mailbox.post({ started($0, (process, log)) }) { process.kill() }
          end = await process.end()
          lines = (try? await Blocking.run { log.lastLines(20) }) ?? []
        } catch {
          sealing.left(record.job)
          throw error
        }
        sealing.left(record.job)
        mailbox.post { ended($0, HubEnd(cause: end.cause, lines: lines)) }
      } catch {
        let reason = (error as? IorunError)?.description ?? String(describing: error)
        mailbox.post { ended($0, HubEnd(cause: .notStarted(reason: reason), lines: [])) }
      }
    }
  }

  /// A zygote has said hello.
  func zygoteIsReady(_ environment: HubEnvironment, _ connection: HubConnection) {
    environment.state = .ready(connection)
    let waiting = environment.waiting
    environment.waiting = []
    for process in waiting where !process.isGone { fork(process, by: connection) }
    scheduler.zygoteIsReady(environment, self)
  }

  /// A zygote's connection has ended: it is of no more use, whatever else it does.
  func zygoteLeft(_ environment: HubEnvironment, _ connection: HubConnection) {
    guard case .ready(let present) = environment.state, present === connection else { return }
    environment.process?.kill()
  }

  private func zygoteEnded(_ environment: HubEnvironment, _ end: HubEnd) {
    var message = "the zygote of job \(environment.job.id) ended: \(end.cause)"
    if let last = end.lines.last { message += "; its last line: \(last)" }
    var detail = ProcessLoss.Detail()
    detail.node = settings.node
    detail.lastLines = end.lines
    logger.notice("\(message)")
    zygoteFailed(
      environment,
      ProcessLoss(
        .spawnFailed, message,
        remedy: "See \(environment.job.logs) on node \(settings.name); is the SDK installed there?",
        detail: detail))
  }

  /// Nobody will be forked by this zygote: who waits for that is told.
  private func zygoteFailed(_ environment: HubEnvironment, _ loss: ProcessLoss) {
    if case .ready(let connection) = environment.state { connection.closesWhenSent = true }
    environment.state = .failed(loss)
    environment.process?.kill()
    environment.process = nil
    environment.waiting = []
    // Forked ones live on only as long as their parent; those without a hello never come.
    for process in Array(environment.job.processes.values)
    where process.environment == environment.hash && !process.isDriver {
      if process.connection == nil { process.startFailure = loss }
      gone(process)
    }
  }

  /// Ends a zygote and all below it.
  func stopZygote(_ environment: HubEnvironment) {
    environment.generation = 0
    if case .ready(let connection) = environment.state { drop(connection) }
    environment.state = .none
    environment.process?.kill()
    environment.process = nil
    environment.job.environments[environment.hash] = nil
  }

  /// One note of a zygote.
  ///
  /// - Throws: `malformed`.
  func receivedFromZygote(_ frame: LocalFrame, _ environment: HubEnvironment) throws {
    guard let operation = LocalOperation(rawValue: frame.header.aux) else { return }
    let note = try LocalMessage(frame.body).decode(ZygoteNote.self)
    let job = environment.job
    switch operation {
    case .forked:
      guard let worker = note.worker, let pid = note.pid else { throw Self.incomplete(operation) }
      guard let process = job.processes[worker] else {
        // Not wanted any more. The zygote is its parent and has not reaped it: the id is still its own.
        let stray = HubProcess(worker: worker, job: job, environment: "", use: .tasks)
        self.note(pid, of: stray, environment)
        stray.kill()
        return
      }
      self.note(pid, of: process, environment)
      scheduler.workerForked(worker)
    case .exited:
      guard let worker = note.worker else { throw Self.incomplete(operation) }
      guard let process = job.processes[worker] else { return }
      process.exit = HubProcess.Exit(
        status: note.status, signal: note.signal, maxResidentBytes: note.maxResidentBytes,
        lastLines: Array((note.lastLines ?? []).suffix(20)))
      if let connection = process.connection { drain(connection) }
      gone(process)
    case .output:
      guard let worker = note.worker, let lines = note.lines else {
        throw Self.incomplete(operation)
      }
      output(
        lines, dropped: note.dropped ?? 0, stream: note.stream == "err" ? "err" : "out", of: worker,
        name: note.name, job)
    case .progress:
      environment.heardAt = .now
      tellDriver(
        LogLines(
          worker: "", pid: connectionOf(environment)?.pid ?? 0, node: settings.node,
          name: "runtime_env", stream: "err", lines: [note.text ?? ""], dropped: 0), of: job)
    case .environmentFailed:
      let message = note.message ?? "the runtime environment could not be built"
      zygoteFailed(
        environment,
        ProcessLoss(
          .environmentFailed, message,
          remedy: "Mend `runtime_env`; the environment was built on node \(settings.name)"))
    default: throw IorunError(.malformed, "\(operation) is no note of a zygote")
    }
  }

  /// The id that a zygote's child has, as the zygote says.
  private func note(_ pid: Int32, of process: HubProcess, _ environment: HubEnvironment) {
    guard process.job.sealedUser != nil else { return process.lives(as: pid) }
    if let box = environment.process?.box { process.lives(in: box, as: pid) }
  }

  private func connectionOf(_ environment: HubEnvironment) -> HubConnection? {
    if case .ready(let connection) = environment.state { connection } else { nil }
  }

  private static func incomplete(_ operation: LocalOperation) -> IorunError {
    IorunError(.malformed, "a zygote's note '\(operation)' is incomplete")
  }

  // MARK: Programs

  private func startProgram(_ process: HubProcess, _ environment: HubEnvironment) {
    let job = process.job
    let place = RuntimeLauncher.Place(
      hub: hubSeen(job), token: job.token, worker: process.worker, environment: environment.hash,
      runtimeEnv: environment.text,
      // It listens there before it says hello.
      variables: process.variables.merging(["IORUN_DIRECTORY": job.directorySeen]) { own, _ in own
      })
    let (id, worker) = (job.id, process.worker)
    launch(
      job.record, at: place, log: "\(job.logs)/worker-\(worker).out"
    ) { hub, started in
      guard let process = hub.jobs[id]?.processes[worker] else {
        started?.process.kill()
        return
      }
      process.program = started?.process
      hub.scheduler.workerForked(worker)
    } ended: { hub, end in
      guard let process = hub.jobs[id]?.processes[worker] else { return }
      var exit = HubProcess.Exit(lastLines: end.lines)
      switch end.cause {
      case .exited(let status): exit.status = Int(status)
      case .signalled(let signal): exit.signal = Int(signal)
      default:
        process.startFailure = ProcessLoss(
          .spawnFailed, "a worker could not be started: \(end.cause)",
          remedy: "Is the program at the same path on node \(hub.settings.name)?")
      }
      process.exit = exit
      if let connection = process.connection { hub.drain(connection) }
      hub.gone(process)
    }
  }
}

/// How a process below a supervisor ended, and what it printed last.
struct HubEnd: Sendable {
  var cause: ExitCause
  var lines: [String]
}
