internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunWire

/// What a process says first.
private struct Hello: Decodable {
  var `protocol`: Int
  var oldestProtocol: Int?
  var sdk: String?
  var role: String
  var worker: WorkerID?
  var job: String?
  var token: String?
  var pid: Int32?
  var namespace: String?
  var name: String?
  var launcher: RuntimeJob.Launcher?
  var environment: String?
}

/// What it is answered.
private struct Welcome: Encodable {
  struct Arena: Encodable {
    var path: String
    var size: Int64
  }

  var `protocol`: Int
  var node: NodeID
  var nodeName: String
  var address: String
  var job: JobID
  var worker: WorkerID?
  var directory: String
  var arena: Arena
  var resources: ResourceAmounts
  var labels: [String: String]
  var inlineLimit = 102_400
  /// `exiting` may say that the process stays a while.
  var retires = true
  var logs: String
  var head: String
  var namespace: String
}

extension Hub {
  /// A stranger says who it is.
  func receivedHello(_ frame: LocalFrame, from connection: HubConnection) {
    let number = frame.header.number
    connection.openRequests = 1
    do {
      let hello = try LocalMessage(frame.body).decode(Hello.self)
      connection.version = try settings.versions.agreed(
        with: ProtocolVersions(oldest: hello.oldestProtocol, newest: hello.protocol),
        "local protocol", who: "the program's SDK (\(hello.sdk?.prefix(40) ?? "unknown"))",
        own: "this node")
      guard !isStopping else { throw IorunError(.unreachable, "this node is being stopped") }
      switch hello.role {
      case "driver": try welcomeDriver(hello, connection, number)
      case "worker": try welcomeWorker(hello, connection, number)
      case "zygote": try welcomeZygote(hello, connection, number)
      default: throw IorunError(.malformed, "'\(hello.role.prefix(32))' is no role of a process")
      }
    } catch {
      connection.closesWhenSent = true
      respond(connection.id, number, error: error)
    }
  }

  private func welcomeDriver(
    _ hello: Hello, _ connection: HubConnection, _ number: UInt64,
    since: ContinuousClock.Instant = .now
  ) throws {
    guard let worker = hello.worker, worker != Self.hubSource else {
      throw IorunError(.malformed, "a driver's hello lacks 'worker', or it is zero")
    }
    guard let launcher = hello.launcher, !launcher.argv.isEmpty else {
      throw IorunError(.malformed, "a driver's hello lacks its 'launcher'")
    }
    let seat = settings.sealed?.seat(of: connection.user)
    guard seat != nil || settings.sealed?.isUser(connection.user) != true else {
      throw IorunError(.notAllowed, "a process in a job's sandbox begins no job of its own")
    }
    if let job = seat?.job, jobs[job]?.isOver ?? true, .now - since < Self.leavingLimit {
      // The one before is just going.
      connection.role = .greeting
      after(.milliseconds(20)) { [id = connection.id] hub in
        guard let connection = hub.connections[id] else { return }
        do {
          try hub.welcomeDriver(hello, connection, number, since: since)
        } catch {
          connection.closesWhenSent = true
          hub.respond(id, number, error: error)
        }
      }
      return
    }
    guard !jobs.values.contains(where: { $0.processes[worker] != nil }) else {
      throw IorunError(.wrongState, "there is a process \(worker) already")
    }
    // The head draws the id; this one stands for it until then.
    let record = RuntimeJob(
      job: JobID(using: &generator), name: String((hello.name ?? "").prefix(256)),
      namespace: hello.namespace ?? "",
      driver: ProcessAddress(node: settings.node, worker: worker), launcher: launcher,
      startedAt: Date().timeIntervalSince1970, isSealed: seat == nil ? nil : true)
    connection.role = .greeting
    let (id, pid) = (connection.id, connection.pid)
    callHead {
      try await $0.openJob(record)
    } done: { hub, result in
      hub.opened(
        result, worker: worker, pid: pid, for: HubRequest.Ticket(connection: id, number: number))
    }
  }

  /// How long a rank's next driver waits for its last one's processes to go.
  private static var leavingLimit: Duration { .seconds(10) }

  private func opened(
    _ result: Result<RuntimeJob, any Error>, worker: WorkerID, pid: Int32,
    for ticket: HubRequest.Ticket
  ) {
    do {
      let record = try result.get()
      guard let connection = connections[ticket.connection] else {
        // The driver gave up meanwhile.
        callHead {
          try await $0.closeJob(record.job, reason: "the driver ended")
        } done: { hub, result in
          hub.noted("a job could not be closed")(hub, result)
        }
        return
      }
      let job = try makeJob(record, in: settings.sealed?.seat(of: connection.user))
      let process = HubProcess(worker: worker, job: job, environment: "", use: .driver)
      join(process, connection, pid: pid)
      welcome(process, job, connection, ticket.number)
      deliverEarly(process, connection)
      startZygote(environment(of: job, hash: "", text: ""))
      warm(job)
      takeFrames(connection)
    } catch {
      guard let connection = connections[ticket.connection] else { return }
      connection.closesWhenSent = true
      respond(ticket.connection, ticket.number, error: error)
    }
  }

  /// Pages for the first objects are made ready before anybody asks; many only for a job that stays.
  private func warm(_ job: HubJob) {
    job.store?.warmer.warm(upTo: Self.warmAhead)
    let id = job.id
    after(.seconds(1)) { $0.jobs[id]?.store?.warmer.warm(upTo: 4 * Self.warmAhead) }
  }

  private func welcomeWorker(_ hello: Hello, _ connection: HubConnection, _ number: UInt64) throws {
    let job = try admit(hello, connection)
    guard let worker = hello.worker, let process = job.processes[worker] else {
      throw IorunError(
        .notAllowed, "this node expects no worker \(hello.worker?.description ?? "without an id")",
        remedy: "Workers are started by their node")
    }
    guard process.connection == nil, !process.isDriver, !process.isGone else {
      throw IorunError(.wrongState, "worker \(worker) has said hello already")
    }
    join(process, connection, pid: connection.pid)
    welcome(process, job, connection, number)
    // An actor hears what it is before it hears what it is to do.
    workerArrived(process)
    deliverEarly(process, connection)
  }

  private func welcomeZygote(_ hello: Hello, _ connection: HubConnection, _ number: UInt64) throws {
    let job = try admit(hello, connection)
    guard let environment = job.environments[hello.environment ?? ""],
      case .starting = environment.state
    else {
      throw IorunError(.notAllowed, "this node expects no zygote of that environment")
    }
    connection.role = .zygote(environment)
    welcome(nil, job, connection, number)
    zygoteIsReady(environment, connection)
  }

  /// The job whose token the process has.
  private func admit(_ hello: Hello, _ connection: HubConnection) throws -> HubJob {
    guard let id = hello.job.flatMap(JobID.init), let job = jobs[id], let token = hello.token,
      constantTimeEqual(Array(token.utf8), Array(job.token.utf8)),
      // A sandbox's user is of its job alone.
      job.sealedUser.map({ $0 == connection.user })
        ?? (settings.sealed?.isUser(connection.user) != true)
    else {
      throw IorunError(
        .notAllowed, "no job of this node has that id and token",
        remedy: "A job's processes are started by their node; the job may be over")
    }
    return job
  }

  private func join(_ process: HubProcess, _ connection: HubConnection, pid: Int32) {
    process.connection = connection
    connection.role = .process(process)
    process.lives(as: pid)
    process.job.processes[process.worker] = process
  }

  private func welcome(
    _ process: HubProcess?, _ job: HubJob, _ connection: HubConnection, _ number: UInt64
  ) {
    guard let store = job.store else {
      respond(
        connection.id, number, error: IorunError(.internalFault, "job \(job.id) has no arena"))
      return
    }
    let welcome = Welcome(
      protocol: connection.version, node: settings.node, nodeName: settings.name,
      address: settings.address, job: job.id,
      worker: process?.worker, directory: job.directorySeen,
      arena: Welcome.Arena(path: store.file.path, size: store.file.size), resources: settings.total,
      labels: settings.labels, logs: job.logs, head: settings.headAddress,
      namespace: job.record.namespace)
    respond(connection.id, number, welcome)
  }

  /// What was sent to a process before it came.
  private func deliverEarly(_ process: HubProcess, _ connection: HubConnection) {
    for frame in process.early { connection.outgoing.append(frame) }
    process.early = []
    process.earlyBytes = 0
  }
}
