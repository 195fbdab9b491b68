import IorunContract
import IorunCore
import IorunSandbox
import Logging

extension NodeAgentCore {
  /// Starts the process of a lease that was just told to start. A failure is the rank's end, told
  /// to the head like any other.
  func launch(_ id: LeaseID, _ gang: GangStart) async {
    guard let lease = held[id] else { return }
    CrashPoint.pass(.leaseStarting)
    lease.changed.yield()
    let file = lease.folder.log
    let cap = RankLog.Cap(size: settings.logLimit, setting: settings.logLimitSetting)
    do {
      let network = try await network(lease, gang)
      CrashPoint.pass(.leaseConnected)
      let launch = try launch(lease, gang, network)
      let begun = lease.log
      let (process, log) = try await Blocking.run {
        let log = try begun ?? RankLog(file: file, cap: cap)
        return (try RankProcess.start(launch, log: log), log)
      }
      held[id]?.process = process
      CrashPoint.pass(.leaseRunning)
      held[id]?.launch = launch
      held[id]?.life = Task { await self.follow(id, process, log) }
      if let seconds = lease.grant.spec.timeoutSeconds { limit(id, to: seconds) }
      // A stop may have come while the process was being started.
      if held[id]?.stopCause != nil { terminate(id) }
    } catch {
      let reason = (error as? IorunError)?.message ?? String(describing: error)
      // An image's way here is told in the log.
      let log = lease.log
      let lines = (try? await Blocking.run { log?.lastLines(50) }) ?? []
      finish(id, .notStarted(reason: reason), outputs: nil, lastLines: lines)
    }
  }

  /// Stops a lease wherever it stands; `cause` is reported unless its process ended by itself.
  func stop(_ id: LeaseID, cause: ExitCause) {
    guard let lease = held[id], let state = table.entries[id]?.state else { return }
    if lease.stopCause == nil { held[id]?.stopCause = cause }
    switch state {
    case .reserved, .preparing: lease.preparation?.cancel()
    case .prepared: finish(id, held[id]?.stopCause ?? cause, outputs: nil, lastLines: [])
    case .running: terminate(id)
    case .ended: break
    }
  }

  private func terminate(_ id: LeaseID) {
    guard let process = held[id]?.process, held[id]?.termination == nil else { return }
    CrashPoint.pass(.leaseStopping)
    var grace = settings.stopGrace
    if case .nodeLost = held[id]?.stopCause, held[id]?.grant.spec.fenceSeconds != nil {
      grace = min(grace, Self.ownFenceGrace)
    }
    held[id]?.termination = Task { [clock, grace] in
      await process.terminate(grace: grace, clock: clock)
    }
  }

  private func limit(_ id: LeaseID, to seconds: Double) {
    // A duration cannot hold every number that a spec can; none of those is a limit.
    guard seconds.isFinite, seconds < 1e9 else { return }
    let duration = Duration.seconds(max(0, seconds))
    held[id]?.timeout = Task { [clock] in
      guard (try? await clock.sleep(for: duration)) != nil else { return }
      self.stop(id, cause: .timedOut)
    }
  }

  /// What the rank's process enters; `nil` where it uses the node's own network.
  private func network(_ lease: HeldLease, _ gang: GangStart) async throws -> RankNetwork? {
    switch (lease.grant.network, gang.network) {
    case (nil, nil):
      guard let sealed else { return nil }
      return try await Blocking.run { try sealed.network(lease.grant) }
    case (.some, let network?): return try await networks.connect(lease.grant.id, to: network)
    default:
      throw IorunError(.malformed, "the grant and the start disagree about the gang's network")
    }
  }

  private func launch(
    _ lease: HeldLease, _ gang: GangStart, _ network: RankNetwork?
  ) throws -> RankProcess.Launch {
    let command =
      switch lease.grant.spec.entrypoint {
      case .command(let words): words
      case .swift(let target, let arguments): ["./bin/\(target)"] + arguments
      }
    var executor = lease.executor ?? [:]
    if sealed != nil {
      executor[ExecutorEnvironment.agentAddress] = "ipc://" + RankSeal.agentSocket
      // An image has an interpreter and a SDK of its own, and this node's workers have not.
      executor["IORUN_HUB"] = lease.image == nil && sealedJobs != nil ? SealedJobs.hub : nil
    }
    // The interpreter of the node's other work, which a driver's workers must have, too.
    let shown = lease.image == nil ? sealed?.programs : nil
    let environment = RankEnvironment(
      grant: lease.grant, gang: gang, folder: lease.folder, facts: facts,
      searchPath: shown?.searchPath ?? settings.searchPath, executor: executor,
      interface: network?.interface, image: lease.image?.defaults.environment ?? [],
      packages: shown?.packages)
    let seal = try sealed.map { sealed in
      guard let network else {
        throw IorunError(.internalFault, "a rank in a sandbox has no network")
      }
      return try sealed.seal(
        lease.grant, network: network, environment: RankProcess.supervisorEnvironment,
        image: lease.image)
    }
    var variables = environment.variables
    if lease.image != nil, !lease.grant.gpuIndices.isEmpty {
      let own = variables["LD_LIBRARY_PATH"]
      variables["LD_LIBRARY_PATH"] = GPULibraries.searchPath(before: own)
    }
    var launch = RankProcess.Launch(
      supervisor: settings.supervisor, command: command, environment: variables,
      folder: lease.folder.workSeen, network: network, seal: seal)
    if var seal, lease.image == nil, let sealedJobs {
      let seat = try sealedJobs.seat(lease.grant.id, in: &seal)
      launch.seal = seal
      launch.shared = [seat.arena.descriptor]
    }
    return launch
  }

  /// From a started process to its end at the head: the whole log first, then the outputs, then
  /// the report, so that a head that knows the end has everything.
  private func follow(_ id: LeaseID, _ process: RankProcess, _ log: RankLog) async {
    guard let lease = held[id] else { return }
    let sender = LogSender(
      lease: id, epoch: lease.grant.epoch, log: log, head: head, retry: retry)
    let sending = lease.sending ?? Task { try await sender.run() }
    let end = await process.end()
    CrashPoint.pass(.leaseEnded)
    held[id]?.timeout?.cancel()
    // Before the outputs are looked at: nobody may write to them any more.
    await guests?.rankEnded(id, end.cause)
    await withTaskCancellationHandler {
      do { try await sending.value } catch {
        logger.warning("the rest of a rank's log was not sent", metadata: ["lease": "\(id)"])
      }
    } onCancel: {
      sending.cancel()
    }
    if Task.isCancelled { return }
    var cause = end.cause
    if end.wasAsked, let stopCause = held[id]?.stopCause { cause = stopCause }
    var lines = (try? await Blocking.run { log.lastLines(50) }) ?? []
    var outputs: OutputList?
    if cause.isSuccess, !lease.grant.spec.outputs.isEmpty {
      do {
        outputs = try await retry(final: Retry.contentFaults) {
          try await self.content.collect(
            lease.grant.spec.outputs, from: lease.folder.work)
        }
        CrashPoint.pass(.leaseCollected)
      } catch is CancellationError {
        return
      } catch {
        // A rank whose outputs are lost did not succeed. 74 is sysexits' EX_IOERR.
        cause = .exited(status: 74)
        lines.append("[iorun] the rank ended well, but its outputs could not be kept: \(error)")
      }
    }
    await gpuKeeper?.release(id)
    finish(id, cause, outputs: outputs, lastLines: lines, usage: end.usage)
  }

  private func finish(
    _ id: LeaseID, _ cause: ExitCause, outputs: OutputList?, lastLines: [String],
    usage: RankUsage? = nil
  ) {
    do {
      try table.end(id, cause: cause, outputs: outputs, lastLines: lastLines, usage: usage)
    } catch {
      logger.error("a lease ended out of turn", metadata: ["lease": "\(id)", "error": "\(error)"])
    }
    CrashPoint.pass(.leaseFinished)
    machine.release(id)
    held[id]?.timeout?.cancel()
    held[id]?.changed.yield()
  }

  /// Tells the head where a lease stands, each time that changed, until its end is on record. What
  /// changed again while the head was away is told once, as it is then. An end that the head will
  /// never take becomes a short one: the rank failed.
  func reportChanges(of id: LeaseID) async {
    guard let changes = held[id]?.changes else { return }
    var wasRefused = false
    for await _ in changes {
      do {
        let told = try await retry(final: Retry.reportFaults) {
          let report = self.table.report(id)
          if let report { try await self.head.report(report) }
          return report
        }
        guard let told, !told.state.isEnd else { return }
        if told != table.report(id) { held[id]?.changed.yield() }
      } catch let error as IorunError where Retry.reportFaults.contains(error.code) {
        logger.error(
          "the head refuses a report", metadata: ["lease": "\(id)", "error": "\(error)"])
        guard table.entries[id]?.state.isEnded == true else { continue }
        if wasRefused { return }
        wasRefused = true
        // 74 is sysexits' EX_IOERR.
        table.replaceEnd(
          of: id, cause: .exited(status: 74),
          lastLines: ["[iorun] the head did not take the rank's end: \(error)"])
        held[id]?.changed.yield()
      } catch {
        // Cancelled: the lease is being given back.
        return
      }
    }
  }

  /// Stops what still runs, waits for it, and gives everything back. Any number of callers.
  func remove(_ id: LeaseID, cause: ExitCause) async {
    guard let lease = held[id] else { return }
    if let removal = lease.removal { return await removal.value }
    if lease.stopCause == nil { held[id]?.stopCause = cause }
    let removal = Task { await self.giveBack(id) }
    held[id]?.removal = removal
    await removal.value
  }

  private func giveBack(_ id: LeaseID) async {
    guard let lease = held[id] else { return }
    CrashPoint.pass(.leaseReturning)
    lease.preparation?.cancel()
    _ = await lease.preparation?.result
    // A process that is being started must be known before it can be killed.
    await held[id]?.launching?.value
    for task in [held[id]?.reporting, held[id]?.timeout] { task?.cancel() }
    lease.changed.finish()
    held[id]?.sending?.cancel()
    if let process = held[id]?.process {
      process.kill()
      _ = await process.end()
    }
    held[id]?.life?.cancel()
    await held[id]?.life?.value
    await guests?.rankEnded(id, lease.stopCause ?? .cancelled)
    await held[id]?.termination?.value
    await gpuKeeper?.release(id)
    let folder = held[id]?.folder ?? lease.folder
    do {
      sealedJobs?.leave(id)
      if let sealed { try await Blocking.run { try sealed.close(id) } }
      CrashPoint.pass(.leaseScratchClosed)
      try await Blocking.run { try folder.remove() }
      CrashPoint.pass(.leaseFolderRemoved)
    } catch {
      logger.error("a lease's folder is left", metadata: ["lease": "\(id)", "error": "\(error)"])
    }
    await networks.release(id)
    await images?.release(id)
    CrashPoint.pass(.leaseDisconnected)
    if held[id]?.executor != nil { await executors.release(id) }
    machine.release(id)
    table.remove(id)
    held[id] = nil
  }
}

extension LeaseReport.State {
  /// True for the last state.
  fileprivate var isEnd: Bool {
    if case .ended = self { true } else { false }
  }
}
