internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunWire

extension Hub {
  /// The job, made ready on this node if it is new here. One that is over comes back only `forDetached`
  /// actors, which the head restarts after the driver's end, too.
  ///
  /// - Parameter seat: the rank in a sandbox that is its driver.
  /// - Throws: `fileSystem`, `diskFull`; `notFound` for a job that is over; `wrongState` where the rank
  ///   drives another one.
  func makeJob(
    _ record: RuntimeJob, forDetached: Bool = false, in seat: RankSeat? = nil
  ) throws -> HubJob {
    if let job = jobs[record.job] { return job }
    let wasOver = endedJobs.contains(record.job)
    guard !wasOver || forDetached else {
      throw IorunError(.notFound, "job \(record.job) is over")
    }
    let directory = seat?.directory ?? "\(socket.folder)/\(record.job.description.dropFirst(4))"
    if seat == nil { try HubSocket.makePrivate(directory) }
    // A driver of this machine is its owner's, and so are its workers here; unless it is a rank's.
    let isOwners = record.driver.node == settings.node && record.isSealed != true
    let sealed = isOwners ? nil : settings.sealed
    // Nothing of a stranger's lies on this machine as it is.
    let logs = "\(sealed?.logs ?? settings.folder + "/runtime")/\(record.job)"
    try Self.makeFolder(logs)
    let user = try sealed?.begin(record.job, in: seat)
    let job = HubJob(
      record: record, token: Base32.encode(try SecureRandom.bytes(20)), directory: directory,
      logs: logs, sealedUser: user, seat: seat)
    do {
      job.store = try ObjectStore(
        job: record.job, node: settings.node, size: settings.arenaBytes,
        spillFolder: "\(sealed?.spill ?? settings.spillFolder)/\(record.job)",
        file: try seat?.arena
          ?? (user == nil ? nil : ArenaFile(sealed: settings.arenaBytes, path: SealedJobs.arena)))
    } catch {
      sealed?.finish(record.job)
      throw error
    }
    if let user, seat == nil { lchown(directory, user, user) }
    job.isOver = wasOver
    jobs[record.job] = job
    endedJobs.removeAll { $0 == record.job }
    takeEarlySegments(of: job)
    return job
  }

  private static func makeFolder(_ path: String) throws {
    do {
      try FileManager.default.createDirectory(
        atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    } catch {
      throw IorunError(.fileSystem, "cannot make \(path)", cause: error)
    }
  }

  /// A connection has ended.
  func closed(_ connection: HubConnection) {
    switch connection.role {
    case .stranger, .greeting: break
    case .zygote(let environment): zygoteLeft(environment, connection)
    case .process(let process):
      process.connection = nil
      actors.forget(connection: connection.id)
      if process.isDriver {
        gone(process)
        endJob(
          process.job, reason: process.farewell?.reason ?? "the driver is gone", tellHead: true)
      } else if process.exit != nil || process.isGone {
        gone(process)
      } else {
        // Its parent knows how it ended, and says so in a moment.
        let (job, worker) = (process.job.id, process.worker)
        after(settings.causeGrace) { hub in
          if let process = hub.jobs[job]?.processes[worker] { hub.gone(process) }
        }
        // A process that closed its connection and goes on is none of ours.
        if process.farewell != nil { condemn(process) }
        process.kill()
      }
    }
  }

  /// A process is gone, or counts as gone. Any number of times.
  func gone(_ process: HubProcess) {
    guard !process.isGone else { return }
    process.isGone = true
    let job = process.job
    let cause = cause(of: process)
    // A driver is somebody's own program: it goes on without its job.
    if !process.isDriver {
      condemn(process)
      process.kill()
    }
    if let connection = process.connection { drop(connection) }
    job.processes[process.worker] = nil
    let address = ProcessAddress(node: settings.node, worker: process.worker)
    announce(address, of: job, cause)
    let id = job.id
    // Of a node that stops all others hear from the head.
    for node in job.partners where node != settings.node && !isStopping {
      callNode(node) {
        try await $0.processLost(id, address, cause)
      } done: { hub, result in
        hub.noted("a node was not told of a lost process")(hub, result)
      }
    }
    // Those of other jobs hear from the head how the actor stands, and from here that it will not
    // answer any more.
    for caller in process.callers.values {
      if let job = jobs[caller.job] { tell(caller.address, of: job, lost: address, cause) }
    }
    scheduler.processGone(process, cause, self)
    if let actor = process.actor { actorGone(actor, process, cause) }
    for actor in process.children {
      callHead {
        try await $0.killActor(actor, noRestart: true)
      } done: { hub, result in
        hub.noted("an actor of a process that is gone could not be ended")(hub, result)
      }
    }
    job.store?.processGone(process.worker, self)
    if job.isOver { finishIfEmpty(job) }
  }

  /// A process of another node is gone.
  func goneElsewhere(_ address: ProcessAddress, of job: HubJob, _ cause: ProcessLoss) {
    announce(address, of: job, cause)
    scheduler.holderGone(address.worker, self)
    job.store?.ownerGone(address.worker, self)
  }

  /// What is known of a process's end.
  private func cause(of process: HubProcess) -> ProcessLoss {
    var detail = ProcessLoss.Detail()
    detail.node = settings.node
    detail.pid = process.pid.map(Int.init)
    var message = process.isDriver ? "the driver ended" : "the process ended"
    if let exit = process.exit {
      detail.exitStatus = exit.status
      detail.signal = exit.signal
      // The name alone: what it often means is said in the message.
      detail.signalName = exit.signal.map {
        String(ExitCause.signalName(Int32($0)).prefix { $0 != "," })
      }
      detail.maxResidentBytes = exit.maxResidentBytes
      detail.lastLines = exit.lastLines
      if let signal = exit.signal {
        message = "the process was ended by \(detail.signalName ?? "signal \(signal)")"
        let most = exit.maxResidentBytes ?? 0
        if signal == 9, process.order == nil,
          Double(most) > 0.5 * settings.total[ResourceAmounts.memory]
        {
          detail.outOfMemory = true
          message += ", probably by the kernel for want of memory: it had used \(most >> 20) MiB"
        }
      } else if let status = exit.status {
        message = "the process exited with status \(status)"
      }
    }
    var remedy: String?
    if let farewell = process.farewell {
      detail.intended = farewell.isIntended
      if !farewell.reason.isEmpty { message = farewell.reason }
    }
    if let order = process.order {
      detail.intended = order.isIntended
      message = order.reason
      if order.isOutOfMemory {
        detail.outOfMemory = true
        remedy = "Give its tasks more `memory`, or run fewer of them at once"
      }
    }
    return ProcessLoss(.processLost, message, remedy: remedy, detail: detail)
  }

  // MARK: The end of a job

  /// Ends a job here: everything but what is detached, and actors that the driver did not make itself. Of
  /// these the head says which end: a detached actor may have made them, on another node.
  func endJob(_ job: HubJob, reason: String, tellHead: Bool) {
    guard !job.isOver else { return }
    job.isOver = true
    let id = job.id
    if tellHead {
      callHead {
        try await $0.closeJob(id, reason: reason)
      } done: { hub, result in
        hub.noted("the head was not told that job \(id) is over")(hub, result)
      }
    }
    scheduler.jobOver(job, self)
    for process in Array(job.processes.values) {
      if let spec = process.actor?.spec, spec.detached || spec.creator != job.record.driver {
        continue
      }
      process.order = process.order ?? ("its job is over: \(reason)", true, false)
      gone(process)
    }
    let kept = Set(job.processes.values.map(\.environment))
    for environment in job.environments.values where !kept.contains(environment.hash) {
      stopZygote(environment)
    }
    finishIfEmpty(job)
  }

  private func finishIfEmpty(_ job: HubJob) {
    guard job.isOver, job.processes.isEmpty, jobs[job.id] === job else { return }
    jobs[job.id] = nil
    endedJobs.append(job.id)
    if endedJobs.count > 1000 { endedJobs.removeFirst(500) }
    for environment in job.environments.values { stopZygote(environment) }
    job.store?.close()
    job.store = nil
    let directory = job.directory
    // Sockets only; what cannot be removed goes when the node next starts.
    let seat = job.seat
    let remove = { @Sendable in
      if let seat { return seat.leave() }
      _ = try? FileManager.default.removeItem(atPath: directory)
    }
    guard let sealed = settings.sealed, job.sealedUser != nil else { return remove() }
    let logs = job.logs
    // Its processes may put anything there as long as they live.
    sealed.finish(job.id) {
      remove()
      _ = try? FileManager.default.removeItem(atPath: logs)
    }
  }
}

extension Hub {
  /// The node is going: everything of the job here ends, what is detached too.
  func abandon(_ job: HubJob, reason: String) {
    let isOver = job.record.driver.node == settings.node
    if !isOver {
      // Not the job ends but the node: its actors may be restarted elsewhere.
      for process in job.processes.values {
        process.order = process.order ?? (reason, false, false)
      }
    }
    endJob(job, reason: reason, tellHead: isOver)
    for process in Array(job.processes.values) {
      process.order = process.order ?? (reason, false, false)
      gone(process)
    }
  }
}
