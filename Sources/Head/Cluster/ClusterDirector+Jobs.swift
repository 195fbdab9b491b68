internal import IorunContract
internal import IorunCore
internal import IorunWire

/// Runtime jobs: they begin with a driver and end with it, save for what is detached.
extension ClusterDirector {
  func openJob(_ job: RuntimeJob, caller: PeerID) async throws -> RuntimeJob {
    let node = try await self.caller(caller)
    guard job.driver.node == node else {
      throw IorunError(.notAllowed, "a node opens jobs for its own drivers only")
    }
    guard jobs.count < limits.jobs else {
      throw IorunError(
        .overloaded, "the head keeps its most of \(limits.jobs) runtime jobs",
        remedy: "Let some of them end")
    }
    var job = job
    repeat { job.job = JobID(using: &generator) } while jobs[job.job] != nil
    job.startedAt = clock.now()
    job.name = String(job.name.prefix(256))
    job.namespace = String(job.namespace.prefix(256))
    jobs[job.job] = ClusterJob(runtime: job)
    return job
  }

  func closeJob(_ job: JobID, reason: String, caller: PeerID) async throws {
    let node = try await self.caller(caller)
    guard let present = jobs[job] else { return }
    guard present.runtime.driver.node == node else {
      throw IorunError(.notAllowed, "job \(job) belongs to another node's driver")
    }
    end(job, reason: String(reason.prefix(1024)), telling: members.keys.filter { $0 != node })
  }

  func job(_ job: JobID, caller: PeerID) async throws -> RuntimeJob {
    _ = try await self.caller(caller)
    return try runtimeJob(job)
  }

  /// A job of which something lives. Throws `notFound`.
  func runtimeJob(_ job: JobID) throws -> RuntimeJob {
    guard let present = jobs[job] else {
      throw IorunError(.notFound, "runtime job \(job) is over, or never was")
    }
    return present.runtime
  }

  /// The driver is gone: everything of the job ends that is not detached, nor made by what is. `telling` are the nodes that
  /// do not know yet; each node hears it once, because the second time means the detached ones, too.
  func end(_ job: JobID, reason: String, telling nodes: [NodeID]) {
    guard let present = jobs[job], present.endReason == nil else { return }
    let kept = detachedFamily(of: job)
    cancelLeases("its job is over: \(reason)") { $0.job == job }
    for (id, actor) in actors
    where actor.spec.job == job && !actor.isDead && !kept.actors.contains(id) {
      // What the driver made the nodes end with the job.
      die(
        id, Self.intended("its job is over: \(reason)"),
        stopping: actor.spec.creator != present.runtime.driver)
    }
    for (id, group) in groups where group.spec.job == job && !group.spec.detached {
      if let creator = group.spec.creator, kept.processes.contains(creator) { continue }
      remove(id, reason: "its job is over")
    }
    jobs[job]?.endReason = reason
    jobs[job]?.endedAt = clock.now()
    for node in nodes { tell(node, ofTheEndOf: job, reason) }
    forgetIfOver(job)
    pump()
  }

  /// The detached actors of a job, what they made, what these made; and the processes of all.
  private func detachedFamily(
    of job: JobID
  ) -> (actors: Set<RuntimeActorID>, processes: Set<ProcessAddress>) {
    var family: Set<RuntimeActorID> = []
    var processes: Set<ProcessAddress> = []
    var rest = actors.filter { $0.value.spec.job == job && $0.value.spec.detached }.map(\.key)
    while let id = rest.popLast() {
      guard let actor = actors[id], !actor.isDead, family.insert(id).inserted else { continue }
      guard let process = actor.process else { continue }
      processes.insert(process)
      rest += madeBy[process] ?? []
    }
    return (family, processes)
  }

  /// Lets go of a job whose driver is gone once nothing detached is left of it.
  func forgetIfOver(_ job: JobID) {
    guard let present = jobs[job], let reason = present.endReason else { return }
    let isAlive =
      actors.values.contains { $0.spec.job == job && !$0.isDead }
      || groups.values.contains { $0.spec.job == job }
    if isAlive { return }
    jobs[job] = nil
    endedJobs.append(present)
    if endedJobs.count > limits.endedJobs { endedJobs.removeFirst() }
    // Once more: what waited for the detached ones may go now.
    for node in members.keys { tell(node, ofTheEndOf: job, reason) }
  }

  private func tell(_ node: NodeID, ofTheEndOf job: JobID, _ reason: String) {
    tell(node, "the end of a job") {
      try await $0.endJob(job, reason: reason, caller: self.head)
    }
  }

  // MARK: restarts

  /// What a node knows of jobs: after a restart of the head, all there is to know.
  func adoptJobs(_ registration: ClusterRegistration, on node: NodeID) {
    let over = Set(endedJobs.map(\.runtime.job))
    for driver in registration.drivers
    where driver.driver.node == node && !over.contains(driver.job) {
      if jobs[driver.job] == nil { jobs[driver.job] = ClusterJob(runtime: driver) }
    }
    for job in registration.jobs where jobs[job.job] == nil && !over.contains(job.job) {
      jobs[job.job] = ClusterJob(runtime: job)
    }
    // A new agent under the node's key knows nothing of the drivers that its forerunner had.
    let present = Set(registration.drivers.map(\.job))
    for job in jobs.values
    where job.runtime.driver.node == node && job.endReason == nil
      && !present.contains(job.runtime.job)
    {
      end(
        job.runtime.job, reason: "the agent of its driver's node began anew",
        telling: members.keys.filter { $0 != node })
    }
  }

  /// Ends jobs of which only others told and whose driver's node did not come (back).
  func endOrphans() {
    if expectsMembers { return }
    let reason = "the node of its driver did not come back"
    for job in jobs.values where job.endReason == nil && members[job.runtime.driver.node] == nil {
      end(job.runtime.job, reason: reason, telling: Array(members.keys))
    }
    if !hasAdopted { return }
    hasAdopted = false
    // Actors of which their nodes told, and of whose jobs nobody did.
    var unknown: Set<JobID> = []
    for (id, actor) in actors where !actor.isDead && jobs[actor.spec.job] == nil {
      if actor.spec.detached { continue }
      unknown.insert(actor.spec.job)
      die(id, Self.intended("its job is over: \(reason)"), stopping: false)
    }
    for job in unknown { for node in members.keys { tell(node, ofTheEndOf: job, reason) } }
  }

  static func intended(_ message: String) -> ProcessLoss {
    var detail = ProcessLoss.Detail()
    detail.intended = true
    return ProcessLoss(.processLost, message, detail: detail)
  }
}
