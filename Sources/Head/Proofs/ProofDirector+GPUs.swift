internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// A node's GPUs: each is a device of its own, in its node's group, and is asked once its node's own run is
/// over. Its memory is filled first; then a walk over it and products begin at the same instant.
extension ProofDirector {
  /// Asks nodes for the GPUs that they offer and are not known yet, and forgets those that they offer no more.
  func meetGPUs(_ alive: [PeerID: NodeSnapshot]) {
    let now = clock.elapsed()
    for (node, snapshot) in alive where !snapshot.facts.gpus.isEmpty || gpusOf[node] != nil {
      let offered = snapshot.facts.gpus.filter { !$0.uuid.isEmpty }
      dropGPUs(of: node, except: offered)
      // After the node's own first run, in whose way it would be.
      guard let own = deviceOf[node].flatMap({ devices[$0] }), own.record.mark.since != nil,
        !own.state.isOpen, !own.state.isHired, !askingGPUs.contains(node),
        askGPUsAgainAt[node].map({ now >= $0 }) ?? true
      else { continue }
      let known = (gpusOf[node] ?? []).compactMap { devices[$0]?.record.profile }
      let isKnown = offered.allSatisfy { gpu in
        known.contains { $0.gpu?.uuid == gpu.uuid && $0.memory == gpu.memory }
      }
      guard !isKnown else { continue }
      askingGPUs.insert(node)
      tasks.run { await self.askGPUs(of: node, offered, own.record.profile) }
    }
  }

  private func dropGPUs(of node: PeerID, except offered: [NodeFacts.GPU]) {
    let gone = (gpusOf[node] ?? []).filter { id in
      let uuid = devices[id]?.record.profile.gpu?.uuid
      return !offered.contains { $0.uuid == uuid }
    }
    guard !gone.isEmpty else { return }
    for id in gone { forget(id, of: node) }
    tasks.run { await self.erase(Array(gone)) }
  }

  private func erase(_ gone: [DeviceID]) async {
    do {
      try await store.forget(devices: gone)
    } catch {
      logger.warning("GPUs that are gone are still on record", metadata: ["error": "\(error)"])
    }
  }

  private func askGPUs(of node: PeerID, _ offered: [NodeFacts.GPU], _ own: ProverProfile) async {
    // What stays unknown is not asked for with every tick.
    defer {
      askingGPUs.remove(node)
      askGPUsAgainAt[node] = clock.elapsed() + settings.callPause
    }
    do {
      for profile in try await prover(node).gpus(caller: head).prefix(offered.count) {
        guard let gpu = offered.first(where: { $0.uuid == profile.gpu?.uuid }),
          profile.memory >= gpu.memory
        else {
          throw IorunError(
            .malformed, "node \(node.short) would prove another GPU than it offers")
        }
        try ProfileCheck.check(profile, isFasterThan: own)
        try met(node, profile)
      }
    } catch {
      logger.info("node \(node.short) does not say what its GPUs can prove: \(error)")
    }
  }

  /// A GPU's round: at once over memory that is full, else once it is.
  func issueGPURound(
    to device: Device, epoch: Int64, round: Int, filling fill: Duration, length: Duration
  ) {
    let (id, profile) = (device.id, device.record.profile)
    guard let gpu = profile.gpu, let walks = profile.rates[.gpuMemory],
      let products = profile.rates[.product],
      let plan = GPUPlan(
        memory: Int(clamping: profile.memory.rawValue), groups: profile.cores,
        labelRate: gpu.labelRate, walkRate: walks, productRate: products,
        fillSeconds: fill.inSeconds, seconds: length.inSeconds)
    else {
      apply(.verifierFailed(round: round), to: id)
      return
    }
    do {
      let order = try TableOrder(
        device: id, epoch: epoch, beacon: secrets.combinedBeacon(of: epoch),
        labels: plan.memory.labels, labelSteps: plan.memory.labelSteps, isOnGPU: true)
      let time =
        Duration.seconds(3 * plan.memory.fillSeconds(laneRate: gpu.labelRate)) + settings.slack * 2
      devices[id]?.table = Table(
        order: order, plan: plan.memory, product: plan.product, round: round,
        orderedAt: clock.elapsed(), time: time)
    } catch {
      logger.error("no table could be ordered for a GPU", metadata: ["error": "\(error)"])
      apply(.verifierFailed(round: round), to: id)
    }
  }

  /// Both halves of a GPU's round go out.
  func beginGPURound(_ device: Device, over table: Table, epoch: Int64, round: Int) {
    let profile = device.record.profile
    guard let gpu = profile.gpu, let product = table.product else { return }
    do {
      let puzzle = try table.plan.puzzle()
      // Three times the half that takes longer, and what the walk may be slower.
      let walk = Double(puzzle.steps) / table.plan.expectedRate
      let products = Double(product.multiplications) / max(1, profile.rates[.product] ?? 1)
      let time = Duration.seconds(3 * max(walk, products)) + settings.slack
      try open(
        .gpuMemory(puzzle), for: device.id, epoch: epoch, round: round,
        expected: ModelCatalogue.Expectation(rate: table.plan.expectedRate), within: time)
      try open(
        .product(product), for: device.id, epoch: epoch, round: round,
        expected: settings.catalogue.expectation(
          ofGPU: gpu.model, .product, claimed: profile.rates[.product] ?? 0), within: time)
    } catch {
      logger.error("no challenge could be made", metadata: ["error": "\(error)"])
      devices[device.id]?.open = nil
      apply(.verifierFailed(round: round), to: device.id)
    }
  }
}
