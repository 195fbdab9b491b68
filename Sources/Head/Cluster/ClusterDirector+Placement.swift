internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import IorunWire

/// Who gets room when there is some.
extension ClusterDirector {
  /// What placement says of one demand.
  enum Decision {
    case place(NodeID)
    case wait
    case infeasible(IorunError)
  }

  /// Where a demand goes now. Asking moves nothing: whoever takes the place says so by `took`.
  func decide(_ shape: DemandShape.Demand) throws -> Decision {
    let refusing = DemandShape.demand(shape)
    if let bundle = shape.bundle { return try decide(shape, in: bundle, refusing) }
    let strategy: LeasePlacement.Strategy =
      switch shape.strategy {
      case .standard: .standard
      case .spread: .spread(last: lastSpread)
      case .node(let node, let soft, let failsWhenBusy):
        .node(node, soft: soft, failsWhenBusy: failsWhenBusy)
      }
    let request = LeasePlacement.Request(
      resources: shape.placement, strategy: strategy,
      selectors: try shape.selectors.map(LabelSelector.init), origin: shape.origin,
      excluding: Set(members.values.lazy.filter { $0.refusals.contains(refusing) }.map(\.node)))
    switch LeasePlacement().place(request, on: offers(to: shape.tenant)) {
    case .place(let node): return .place(node)
    case .wait: return .wait
    case .infeasible(let reason):
      // As a job does: what fits a node that may be verified yet waits for that.
      if let proved = offersOnceProved, Self.fits(LeasePlacement().place(request, on: proved)) {
        return .wait
      }
      return .infeasible(IorunError(.noPlacement, "no node can ever take it: \(reason)"))
    }
  }

  /// True for what is placed, or will be once something has ended.
  private static func fits(_ decision: LeasePlacement.Decision) -> Bool {
    if case .infeasible = decision { false } else { true }
  }

  /// A demand has its place: SPREAD goes on from there. Not when it is decided, because one demand may
  /// be decided more than once before it is placed, and would then skip nodes.
  func took(_ node: NodeID, for demand: RuntimeDemand) {
    if demand.strategy == .spread, demand.bundle == nil { lastSpread = node }
  }

  /// A bundle's room is counted by its node alone: it is asked, and says no where there is none.
  private func decide(
    _ shape: DemandShape.Demand, in bundle: RuntimeDemand.Bundle, _ refusing: DemandShape
  ) throws -> Decision {
    guard let group = groups[bundle.group] else {
      return .infeasible(
        IorunError(
          .notFound, "placement group \(bundle.group) does not exist any more",
          remedy: "Create it again"))
    }
    guard bundle.index < group.spec.bundles.count else {
      return .infeasible(
        IorunError(
          .noPlacement,
          "bundle \(bundle.index) of a placement group with \(group.spec.bundles.count) bundles",
          remedy: "Bundles count from 0; -1 stands for any"))
    }
    let indices = bundle.index >= 0 ? [bundle.index] : Array(group.spec.bundles.indices)
    let able = indices.filter { group.spec.bundles[$0].covers(shape.placement) }
    if able.isEmpty {
      let most = indices.map { "\(group.spec.bundles[$0])" }.prefix(3).joined(separator: " or ")
      return .infeasible(
        IorunError(
          .noPlacement, "\(shape.placement) never fits a bundle of \(most)",
          remedy: "Ask for less, or make the bundle larger"))
    }
    let nodes = Set(able.compactMap { group.nodes[$0] }).filter { node in
      guard let member = members[node] else { return false }
      return !member.refusals.contains(refusing)
    }
    if nodes.contains(shape.origin) { return .place(shape.origin) }
    return nodes.min().map(Decision.place) ?? .wait
  }

  /// All members as placement sees them for a job of `tenant`.
  func offers(to tenant: String) -> [RuntimeNode] {
    guard !tenant.isEmpty else { return members.values.map(\.offer) }
    return members.values.map { member in
      var offer = member.offer
      if !member.facts.takesStrangers,
        authoriser.peers.tenantName(of: member.node.peer) != tenant
      {
        offer.bar = "not isolated, so that they take their owners' jobs only"
      }
      return offer
    }
  }

  /// Whose job it is: its driver's node's tenant, and nobody's where the driver is in a sandbox there.
  /// Empty where every node takes everybody's.
  func tenant(of job: JobID) -> String {
    guard hasBareMembers else { return "" }
    guard let job = jobs[job]?.runtime, job.isSealed != true else { return "nobody's" }
    let node = job.driver.node
    return authoriser.peers.tenantName(of: node.peer)
  }

  /// The same, as if all had proved what they are; `nil` where none must.
  var offersOnceProved: [RuntimeNode]? {
    guard members.values.contains(where: \.lacksProofs) else { return nil }
    return members.values.map(\.offerOnceProved)
  }

  /// True where a demand that no node fits is to wait a little: nodes are on their way.
  func mayStillFit(since: Duration) -> Bool {
    let now = clock.elapsed()
    return (expectsMembers || now - startedAt < .seconds(1)) && now - since < limits.arrivalGrace
  }

  /// Gives room to whoever waits, as far as there is some; in the order in which they came, past those
  /// that do not fit.
  func pump() {
    if line.isEmpty || isPumping { return }
    isPumping = true
    defer { isPumping = false }
    var blocked: Set<DemandShape> = []
    var isMoving = true
    while isMoving {
      isMoving = false
      for (shape, entry) in line.fronts() where !blocked.contains(shape) {
        if serve(entry, shape) {
          isMoving = true
        } else {
          blocked.insert(shape)
        }
      }
    }
    if !line.isEmpty { recall() }
  }

  /// True where the entry has left the line.
  private func serve(_ entry: WaitingLine.Entry, _ shape: DemandShape) -> Bool {
    switch (entry.item, shape) {
    case (.group(let id), _): return serveGroup(id, entry)
    case (.lease(let number), .demand(let demand)):
      return serve(entry, demand) { director, result in
        director.resume(number, with: result)
      }
    case (.actor(let id), .demand(let demand)):
      return serve(entry, demand) { director, result in
        director.resume(actor: id, with: result)
      }
    case (_, .group):
      line.remove(entry.item)
      return true
    }
  }

  private func serve(
    _ entry: WaitingLine.Entry, _ demand: DemandShape.Demand,
    _ resume: (isolated ClusterDirector, Result<NodeID, IorunError>) -> Void
  ) -> Bool {
    let result: Result<NodeID, IorunError>
    do {
      switch try decide(demand) {
      case .place(let node): result = .success(node)
      case .wait: return false
      case .infeasible(let error):
        if mayStillFit(since: entry.since) || waitsForever(entry.item) { return false }
        result = .failure(error)
      }
    } catch {
      result = .failure(
        error as? IorunError ?? IorunError(.internalFault, "a demand was not placed", cause: error))
    }
    line.remove(entry.item)
    resume(self, result)
    return true
  }

  /// An actor that lost its node waits for another one, however long that takes.
  private func waitsForever(_ item: WaitingLine.Item) -> Bool {
    guard case .actor(let id) = item else { return false }
    return actors[id]?.wasPlaced ?? false
  }

  /// Enters the line, or comes back to the place that it had.
  ///
  /// - Throws: `overloaded` where it is full.
  func enqueue(
    _ item: WaitingLine.Item, _ shape: DemandShape, since: Duration, at place: UInt64
  ) throws {
    guard line.count < limits.waiting else {
      throw IorunError(
        .overloaded, "\(limits.waiting) demands wait for room already",
        remedy: "Submit less at once, or add nodes")
    }
    line.add(item, shape: shape, since: since, at: place)
    recall()
  }

  /// Asks all nodes for their idle leases, each at most every `recallInterval`.
  func recall() {
    let now = clock.elapsed()
    let due = members.filter { _, member in
      member.recalledAt.map { now - $0 >= limits.recallInterval } ?? true
    }
    guard !due.isEmpty else { return }
    let sole = soleWaiter
    for node in due.keys {
      members[node]?.recalledAt = now
      tasks.run { [weak self] in
        guard let self else { return }
        // One that does not hear it is asked again while somebody waits.
        try? await self.call(node) { try await $0.recall(sole: sole, caller: self.head) }
      }
    }
  }

  /// The process that waits, where leases for it are all that is waited for.
  private var soleWaiter: ProcessAddress? {
    guard line.count == leaseWaiters.count, let first = leaseWaiters.values.first?.wish.holder
    else { return nil }
    return leaseWaiters.values.allSatisfy { $0.wish.holder == first } ? first : nil
  }
}
