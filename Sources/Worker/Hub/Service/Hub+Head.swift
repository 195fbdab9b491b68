internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

extension Hub {
  /// How long changes are gathered before the head hears of them.
  private static let updatePause = Duration.milliseconds(8)
  /// How long a head that began anew may hear nothing of an actor: longer than it waits for nodes that
  /// it knows.
  private static let reunionPatience = Duration.seconds(60)
  /// How old the list of nodes may be.
  private static let nodesPause = Duration.seconds(1)

  /// Everything that a head must know of this node.
  func registration() -> ClusterRegistration {
    // A head that asks anew knows nothing of what was only prepared.
    scheduler.releaseUncommitted(self)
    var actors = self.actors.knownToHead(besides: settings.node)
    for job in jobs.values {
      for process in job.processes.values {
        guard let actor = process.actor else { continue }
        actors.removeAll { $0.spec.actor == actor.spec.actor }
        actors.append(
          RuntimeActorRecord(
            spec: actor.spec,
            status: actor.status(actor.isReady ? .alive : .placed, node: settings.node)))
      }
    }
    let isDriverHere: (HubJob) -> Bool = { [settings] in $0.record.driver.node == settings.node }
    return ClusterRegistration(
      total: settings.total, available: scheduler.available, labels: settings.labels,
      drivers: jobs.values.filter { isDriverHere($0) && !$0.isOver }.map(\.record),
      jobs: jobs.values.filter { !isDriverHere($0) || $0.isOver }.map(\.record),
      actors: actors, bundles: scheduler.reservations)
  }

  /// The head knows this node now.
  func registered(_ over: [JobID]) {
    isRegistered = true
    for job in over { endJob(job, reason: "the head ended it") }
    registrations += 1
    // A new head does not know who watches what.
    for actor in actors.watched { look(for: actor, registration: registrations) }
    refreshNodes()
    updateSoon()
  }

  /// Asks a head that may be new where an actor is. While other nodes register, it may not know yet;
  /// an actor of which none of them says anything is gone, and who waits for it must hear that.
  private func look(
    for actor: RuntimeActorID, registration: Int, since: ContinuousClock.Instant = .now
  ) {
    callHead {
      try await $0.actor(actor)
    } done: { hub, result in
      guard hub.registrations == registration else { return }
      switch result {
      case .success(let record): hub.take(record.status)
      case .failure(let error):
        guard (error as? IorunError)?.code == .notFound, var status = hub.actors.status(actor),
          status.state != .dead
        else { return }
        guard .now - since > Self.reunionPatience else {
          hub.after(.seconds(1)) { $0.look(for: actor, registration: registration, since: since) }
          return
        }
        status.state = .dead
        status.cause = ProcessLoss(
          .processLost, "the head began anew, and no node of the network runs this actor",
          remedy: "Make it again; look at `iorun nodes` for what is gone")
        hub.take(status)
      }
    }
  }

  /// Tells the head soon what is free.
  func updateSoon() {
    guard !isUpdateDue, isRegistered else { return }
    isUpdateDue = true
    after(Self.updatePause) { $0.update() }
  }

  private func update() {
    // One at a time: a later one must not be overtaken by an earlier one.
    guard !isUpdateRunning else {
      after(Self.updatePause) { $0.update() }
      return
    }
    isUpdateDue = false
    isUpdateRunning = true
    updateNumber += 1
    let (available, waiting, number) = (
      scheduler.available, scheduler.waitingCount, updateNumber
    )
    callHead(within: .seconds(5)) {
      try await $0.update(available: available, waiting: waiting, number: number)
    } done: { hub, result in
      hub.isUpdateRunning = false
      guard case .failure(let error) = result else { return }
      if (error as? IorunError)?.code == .notFound {
        hub.isRegistered = false
        hub.registerAgain()
      } else {
        hub.logger.info("the head did not hear what is free: \(error)")
        hub.updateSoon()
      }
    }
  }

  /// Learns of the cluster's nodes, now and again.
  private func refreshNodes() {
    guard !isRefreshing else { return }
    isRefreshing = true
    callHead(within: .seconds(5)) {
      try await $0.clusterNodes()
    } done: { hub, result in
      if case .success(let nodes) = result { hub.nodes.take(nodes) }
      hub.after(Self.nodesPause) { hub in
        hub.isRefreshing = false
        hub.refreshNodes()
      }
    }
  }

  /// A node is gone, with all its processes.
  func nodeLost(_ node: NodeID, reason: String) {
    struct Lost: Encodable {
      var node: NodeID
      var reason: String
    }
    nodes.lose(node)
    cutFetches(from: node)
    for job in jobs.values {
      job.streams[node] = nil
      job.inbound[node] = nil
      job.partners.remove(node)
      for process in job.processes.values {
        guard let connection = process.connection else { continue }
        event(.nodeLost, to: connection, Lost(node: node, reason: reason))
      }
      if job.record.driver.node == node {
        endJob(job, reason: "its driver's node is lost: \(reason)", tellHead: false)
      }
    }
    scheduler.nodeGone(node, self)
  }

  /// The head ends a job here.
  func endJob(_ id: JobID, reason: String) {
    guard let job = jobs[id] else { return }
    if job.isOver {
      // The last of its detached actors is gone, says the head.
      for process in Array(job.processes.values) {
        process.order = process.order ?? ("its job is over: \(reason)", true, false)
        gone(process)
      }
      return
    }
    endJob(job, reason: reason, tellHead: false)
  }

  /// What is done once a second.
  func tidy(_ now: ContinuousClock.Instant) {
    scheduler.tidy(now, self)
    tidyStrays(now)
    for job in jobs.values {
      job.store?.tidy(now, self)
      for process in Array(job.processes.values) where process.isLate(now, settings.zygoteLimit) {
        let limit = Int(settings.zygoteLimit / .seconds(1))
        process.order = ("it did not say hello within \(limit) s", false, false)
        gone(process)
      }
      for environment in job.environments.values {
        guard case .starting = environment.state, environment.process != nil else { continue }
        tidy(environment, now)
      }
    }
  }

  /// A zygote that neither says hello nor tells what it builds does not come.
  private func tidy(_ environment: HubEnvironment, _ now: ContinuousClock.Instant) {
    guard let heard = environment.heardAt, now - heard > settings.zygoteLimit else { return }
    logger.error("a zygote of job \(environment.job.id) is silent; it is started no more")
    // Its end is told to whoever waits.
    environment.process?.kill()
  }
}
