internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// Memory is proved in two steps: a device fills it, which is not timed, and says so; then it is told
/// where the walks begin, whose time counts. Devices that could be one begin their walks together, so
/// that no memory serves two of them in turn.
extension ProofDirector {
  /// A table that a device fills, or has filled, for the walks of its run.
  struct Table {
    let order: TableOrder
    let plan: MemoryPlan
    /// The products beside a GPU's walks.
    var product: ProductPuzzle?
    /// The round of the first walk.
    let round: Int
    /// On the head's clock.
    let orderedAt: Duration
    /// How long filling may take, with all that belongs to it.
    let time: Duration
    /// On the head's clock: a table that is not full by then counts as unanswered. `nil` before the order
    /// was sent.
    var closesAt: Duration?
    var isReady = false
  }

  /// What a device's memory is asked for; `nil` where it states too little, or no rate of walks.
  func plan(
    for profile: ProverProfile, filling fill: Duration, walking walk: Duration
  ) -> MemoryPlan? {
    guard let walks = profile.rates[.memory], let lanes = profile.rates[.lane] else { return nil }
    let share = Double(profile.memory.rawValue) * settings.memoryShare
    return MemoryPlan(
      memory: Int(min(max(0, share), 1e15)), cores: profile.cores, laneRate: lanes,
      walkRate: walks, fillSeconds: fill.inSeconds, walkSeconds: walk.inSeconds)
  }

  /// What a device's runs ask for.
  func kinds(of profile: ProverProfile) -> [PuzzleKind] {
    guard profile.gpu == nil else { return [.product, .gpuMemory] }
    let hasPlan = plan(for: profile, filling: settings.fill, walking: settings.round) != nil
    return [.lane, .hash] + (hasPlan ? [.memory] : [])
  }

  /// A round of walks: at once over a table that is there, else once it is.
  func issueWalk(to id: DeviceID, epoch: Int64, round: Int) {
    guard let device = devices[id] else { return }
    if let table = device.table, table.isReady, table.order.epoch == epoch {
      walk(id, over: table, epoch: epoch, round: round)
      return
    }
    // A newcomer's table is a small one. A walk takes a fifth of a round's time: memory is far from
    // what it is measured against, on either side.
    let length = roundLength(of: device)
    let fill = isNewcomer(device) ? length : settings.fill
    if device.isGPU {
      issueGPURound(to: device, epoch: epoch, round: round, filling: fill, length: length)
      return
    }
    let profile = raised(device.record.profile, of: device.node)
    guard let plan = plan(for: profile, filling: fill, walking: length / 5) else {
      apply(.verifierFailed(round: round), to: id)
      return
    }
    do {
      let order = try TableOrder(
        device: id, epoch: epoch, beacon: secrets.combinedBeacon(of: epoch), labels: plan.labels,
        labelSteps: plan.labelSteps)
      let lanes = profile.rates[.lane] ?? 0
      let time = Duration.seconds(3 * plan.fillSeconds(laneRate: lanes)) + settings.slack * 2
      devices[id]?.table = Table(
        order: order, plan: plan, round: round, orderedAt: clock.elapsed(), time: time)
    } catch {
      logger.error("no table could be ordered", metadata: ["error": "\(error)"])
      apply(.verifierFailed(round: round), to: id)
    }
  }

  /// A profile with the lanes that its model is known to do, where that is more than it claims: labels
  /// must be slow to make anew for the cores that are there.
  private func raised(_ profile: ProverProfile, of node: PeerID) -> ProverProfile {
    var profile = profile
    profile.rates[.lane] = profile.rates[.lane].map {
      settings.catalogue.expectation(
        of: processors[node] ?? "", .lane, cores: profile.cores, claimed: $0
      ).rate
    }
    return profile
  }

  /// Sends tables for. A GPU waits for its node's own run: what the machine does for the one would slow the
  /// other down.
  func orderTables() {
    for device in devices.values {
      guard let table = device.table, table.closesAt == nil else { continue }
      let own = device.isGPU ? deviceOf[device.node].flatMap { devices[$0] } : nil
      guard own?.state.isOpen != true else { continue }
      devices[device.id]?.table?.closesAt = clock.elapsed() + table.time
      let (order, node) = (table.order, device.node)
      tasks.run { await self.send(order, to: node) }
    }
  }

  private func send(_ order: TableOrder, to node: PeerID) async {
    let id = order.device
    do {
      switch try await prover(node).prepare(order, caller: head) {
      case .ready: if isOpen(order) { devices[id]?.table?.isReady = true }
      case .busy, .started:
        if isOpen(order) {
          devices[id]?.saidBusyAt = clock.elapsed()
          take(id)
        }
      }
    } catch let error as IorunError {
      logger.info("node \(node.short) did not fill its memory: \(error)")
      if error.code == .malformed {
        forget(id, of: node)
      } else if error.code == .noMemoryForProof, let table = devices[id]?.table, isOpen(order) {
        devices[id]?.table = nil
        apply(.lacksMemory(round: table.round), to: id)
      }
    } catch {
      logger.info("node \(node.short) did not fill its memory: \(error)")
    }
    perform()
    await flushLater()
  }

  /// True while a device is to fill that table.
  private func isOpen(_ order: TableOrder) -> Bool {
    guard let device = devices[order.device], let table = device.table else { return false }
    return table.order == order && !table.isReady && device.opens.isEmpty
      && device.state.openKind?.needsTable == true && table.round == device.state.issued - 1
  }

  /// Begins the walks of devices whose tables are full, once those that they could be one with are as
  /// far, or will not come.
  func beginWalks() {
    for device in devices.values {
      guard let table = device.table, table.isReady, device.opens.isEmpty,
        let epoch = device.state.epoch, let kind = device.state.openKind, kind.needsTable,
        table.round == device.state.issued - 1
      else { continue }
      let isWaiting = device.cohort.contains { id in
        guard id != device.id, let other = devices[id] else { return false }
        return other.state.isOpen && other.state.epoch == epoch && other.table?.isReady != true
          && other.state.rating[kind]?.isOver == false
      }
      if !isWaiting { walk(device.id, over: table, epoch: epoch, round: table.round) }
    }
  }

  /// Tables that are not full in time.
  func closeTables() {
    let now = clock.elapsed()
    for device in devices.values {
      guard let table = device.table, isOpen(table.order), let closesAt = table.closesAt,
        now >= closesAt
      else { continue }
      devices[device.id]?.table = nil
      apply(.unanswered(round: table.round), to: device.id)
    }
  }

  private func walk(_ id: DeviceID, over table: Table, epoch: Int64, round: Int) {
    if let device = devices[id], device.isGPU {
      beginGPURound(device, over: table, epoch: epoch, round: round)
      return
    }
    do {
      let puzzle = try table.plan.puzzle()
      // What is allowed for it, and three times that: who is slow is to be measured, not late.
      let time = Duration.seconds(3 * Double(puzzle.steps) / table.plan.expectedRate)
      try open(
        .memory(puzzle), for: id, epoch: epoch, round: round,
        expected: ModelCatalogue.Expectation(rate: table.plan.expectedRate),
        within: time + settings.slack)
    } catch {
      logger.error("no challenge could be made", metadata: ["error": "\(error)"])
      apply(.verifierFailed(round: round), to: id)
    }
  }
}
