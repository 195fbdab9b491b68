internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire

extension Hub {
  // MARK: Requests

  func lease(_ message: LocalMessage, _ ask: HubRequest) throws {
    let demand = try demands.demand(message)
    try Self.check(demand)
    let process = ask.process
    let kind = kind(demand, process.job)
    let holder = ProcessAddress(node: settings.node, worker: process.worker)
    let ticket = ask.ticket
    guard isLocal(demand) else {
      leaseElsewhere(demand, process.job.id, holder, ticket)
      return
    }
    scheduler.request(demand, kind, holder: holder, ticket: ticket, self) { hub, result in
      hub.answerLease(ticket, holder.worker, result)
    }
  }

  private static func check(_ demand: RuntimeDemand) throws {
    let one = ResourceAmounts.unitsPerOne
    for (name, units) in demand.resources.units where ResourceAmounts.devices.contains(name) {
      guard units < one || units % one == 0 else {
        throw IorunError(
          .specInvalid, "\(demand.resources[name]) \(name) cannot be given out",
          remedy: "Ask for a whole number of them, or for less than one")
      }
    }
  }

  private func kind(_ demand: RuntimeDemand, _ job: HubJob) -> WorkerPool.Kind {
    _ = environment(of: job, hash: demand.environment, text: demand.runtimeEnv)
    return WorkerPool.Kind(job: job.id, environment: demand.environment)
  }

  /// True where this node grants the demand itself: now, or once it has room.
  private func isLocal(_ demand: RuntimeDemand) -> Bool {
    if let bundle = demand.bundle { return scheduler.hasBundle(bundle) }
    guard demand.labels.isEmpty else { return false }
    switch demand.strategy {
    case .spread: return false
    case .node(let node, _, let failsWhenBusy):
      // Another node if this one can never take it, or the refusal, is the head's to say.
      return node == settings.node && !failsWhenBusy && scheduler.couldTake(demand)
    case .standard:
      let isNearHere = demand.near == settings.node
      if let near = demand.near, !isNearHere,
        !nodes.knows(near) || nodes.hasRoom(near, for: demand)
      {
        // A node that this one has not heard of yet the head may know.
        return false
      }
      guard scheduler.couldTake(demand), nodes.knows(settings.node) else { return false }
      if scheduler.hasRoom(for: demand) {
        return isNearHere || scheduler.load(for: demand) < 0.5
          || !nodes.anotherHasRoom(for: demand, than: settings.node)
      }
      return !nodes.anotherCouldTake(demand, than: settings.node)
    }
  }

  private func leaseElsewhere(
    _ demand: RuntimeDemand, _ job: JobID, _ holder: ProcessAddress, _ ticket: HubRequest.Ticket
  ) {
    remoteRequests.insert(ticket)
    // Never cancelled: a grant that nobody hears of would be held for good.
    callHead(within: Self.patience) {
      try await $0.lease(demand, job: job, holder: holder, ticket: ticket.number)
    } done: { hub, result in
      hub.remoteRequests.remove(ticket)
      hub.answerLease(ticket, holder.worker, result)
    }
  }

  /// Answers a process; a grant that nobody awaits any more is given back.
  private func answerLease(
    _ ticket: HubRequest.Ticket, _ holder: WorkerID, _ result: Result<RuntimeLease, any Error>
  ) {
    let isAwaited = cancelledRequests.remove(ticket) == nil
    guard isAwaited, let process = connections[ticket.connection]?.process else {
      if case .success(let lease) = result {
        giveBack(lease.lease, at: lease.node, holder: holder, isBroken: false)
      }
      return
    }
    switch result {
    case .success(let lease):
      if lease.node != settings.node { process.job.partners.insert(lease.node) }
      process.holdsLeases = true
      respond(ticket.connection, ticket.number, json: Self.json(lease))
    case .failure(let error): respond(ticket.connection, ticket.number, error: error)
    }
  }

  /// By hand: this answer is on the way of every task.
  private static func json(_ lease: RuntimeLease) -> [UInt8] {
    let gpus = lease.gpus.map(String.init).joined(separator: ",")
    let bundle = lease.bundle.map { ",\"bundle\":\($0)" } ?? ""
    // The names are another node's: only those that there are go into this text.
    let known = (lease.accelerators ?? [:]).filter { ResourceAmounts.devices.contains($0.key) }
    let others = known.map { kind, indexes in
      "\"\(kind)\":[\(indexes.map(String.init).joined(separator: ","))]"
    }
    let more = others.isEmpty ? "" : ",\"accelerators\":{\(others.joined(separator: ","))}"
    return Array(
      """
      {"lease":\(lease.lease),"worker":"\(lease.worker)","node":"\(lease.node)","gpus":[\(gpus)]\(more)\(bundle)}
      """.utf8)
  }

  func leaseCancel(
    _ message: LocalMessage, _ process: HubProcess, _ connection: HubConnection
  ) throws {
    struct Reference: Decodable { var number: UInt64 }
    let number = try message.decode(Reference.self).number
    let ticket = HubRequest.Ticket(connection: connection.id, number: number)
    let cancelled = IorunError(.cancelled, "the request was taken back")
    if scheduler.cancel(ticket, self) {
      respond(connection.id, number, error: cancelled)
    } else if remoteRequests.contains(ticket), cancelledRequests.insert(ticket).inserted {
      // A grant that crosses this is given back.
      let holder = ProcessAddress(node: settings.node, worker: process.worker)
      callHead {
        try await $0.cancelLease(number, holder: holder)
      } done: { hub, result in
        hub.noted("a request for a lease could not be taken back")(hub, result)
      }
      respond(connection.id, number, error: cancelled)
    }
  }

  func leaseReturn(_ message: LocalMessage, _ process: HubProcess) throws {
    struct Reference: Decodable {
      var lease: UInt64
      var node: NodeID?
      var broken: Bool?
    }
    let lease = try message.decode(Reference.self)
    giveBack(
      lease.lease, at: lease.node ?? settings.node, holder: process.worker,
      isBroken: lease.broken ?? false)
  }

  private func giveBack(_ lease: UInt64, at node: NodeID, holder: WorkerID, isBroken: Bool) {
    if node == settings.node {
      scheduler.returned(lease, holder: holder, isBroken: isBroken, self)
      return
    }
    let address = ProcessAddress(node: settings.node, worker: holder)
    callNode(node) {
      try await $0.returnLease(lease, holder: address, broken: isBroken)
    } done: { hub, result in
      hub.noted("a lease could not be given back to its node")(hub, result)
    }
  }

  /// The head asks for a worker for somebody else's process, now.
  func grantLease(
    _ demand: RuntimeDemand, job record: RuntimeJob, holder: ProcessAddress,
    done: @escaping @Sendable (Result<RuntimeLease, any Error>) -> Void
  ) {
    do {
      guard !isStopping else { throw IorunError(.overloaded, "this node is being stopped") }
      let job = try makeJob(record)
      guard job.lost[holder.worker] == nil else {
        throw IorunError(.cancelled, "the process that asked is gone")
      }
      if holder.node != settings.node { job.partners.insert(holder.node) }
      scheduler.request(
        demand, kind(demand, job), holder: holder, ticket: nil, waits: false, self
      ) { _, result in done(result) }
    } catch {
      done(.failure(error))
    }
  }

  /// Somebody on another node waits for resources: whoever holds leases looks for idle ones. `sole`
  /// is the process that waits, where it is the only one.
  func recallAll(sole: ProcessAddress?) {
    for job in jobs.values {
      for process in job.processes.values where process.holdsLeases {
        recall(process, sole: sole)
      }
    }
  }

  /// Somebody waits for what a process, here or elsewhere, holds.
  func recall(_ holder: ProcessAddress, sole: ProcessAddress?) {
    guard holder.node == settings.node else {
      callNode(holder.node) {
        try await $0.recall(sole: sole)
      } done: { hub, result in
        hub.noted("a node was not asked for idle leases")(hub, result)
      }
      return
    }
    for job in jobs.values {
      if let process = job.processes[holder.worker] { recall(process, sole: sole) }
    }
  }

  /// A process that waits for what it holds itself knows best which of its leases to keep.
  private func recall(_ process: HubProcess, sole: ProcessAddress?) {
    guard let connection = process.connection else { return }
    let isOwn = sole?.worker == process.worker
    write(
      .event, aux: LocalOperation.recall.rawValue, number: 0,
      json: (isOwn ? "{\"own\":true}" : "{}").utf8, to: connection)
  }

  // MARK: Workers

  /// Starts a worker that can run any task of its kind. False where the job is gone, or has too many.
  func startWorker(_ worker: WorkerID, _ kind: WorkerPool.Kind) -> Bool {
    guard let job = jobs[kind.job], job.takesWorkers,
      job.processes.count < LocalLimits.connectionsPerJob
    else { return false }
    let process = HubProcess(
      worker: worker, job: job, environment: kind.environment, use: .tasks)
    job.processes[worker] = process
    start(process)
    return true
  }

  /// Ends a worker, as the hub sees fit.
  func end(_ worker: WorkerID, _ reason: String) {
    for job in jobs.values {
      guard let process = job.processes[worker] else { continue }
      process.order = process.order ?? (reason, true, false)
      gone(process)
      return
    }
  }
}
