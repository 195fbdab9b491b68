internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// Who is asked, and when: the hour's window in bursts over groups of conflict, and new devices with
/// everybody that they could be.
extension ProofDirector {
  /// Devices become known a moment before they are called, so that those that come together are
  /// called together.
  private static let settling = Duration.seconds(2)

  // MARK: Who there is

  /// Asks nodes that are new, or offer other cores or memory than they proved, who they are.
  func meet(_ alive: [PeerID: NodeSnapshot]) {
    let now = clock.elapsed()
    for (node, snapshot) in alive where !asking.contains(node) {
      guard askAgainAt[node].map({ now >= $0 }) ?? true else { continue }
      let known = deviceOf[node].flatMap { devices[$0]?.record.profile }
      guard
        known?.cores != snapshot.provableCores || known?.memory != snapshot.facts.memory
      else { continue }
      asking.insert(node)
      tasks.run { await self.ask(node, snapshot) }
    }
  }

  private func ask(_ node: PeerID, _ offer: NodeSnapshot) async {
    do {
      let profile = try await prover(node).profile(caller: head)
      // What is hired out is what is proved.
      guard profile.cores >= offer.provableCores, profile.memory >= offer.facts.memory else {
        throw IorunError(
          .malformed,
          "node \(node.short) offers \(offer.provableCores) cores and \(offer.facts.memory), and "
            + "would prove \(profile.cores) and \(profile.memory)")
      }
      try met(node, profile)
      askAgainAt[node] = nil
    } catch {
      logger.info("node \(node.short) does not say what it can prove: \(error)")
      askAgainAt[node] = clock.elapsed() + settings.busyPause
    }
    // A node whose claim stays another than its offer is not asked with every tick.
    if askAgainAt[node] == nil { askAgainAt[node] = clock.elapsed() + settings.busyPause }
    asking.remove(node)
  }

  /// A node says what it is. Throws `malformed`, and `notAllowed` where it is another node's device.
  func met(_ node: PeerID, _ profile: ProverProfile) throws {
    try ProfileCheck.check(profile)
    let now = clock.elapsed()
    let limit = AnswerLimit(aMinute: settings.answersAMinute, now: now)
    if let known = devices[profile.device] {
      guard known.node == node else {
        throw IorunError(
          .notAllowed, "device \(profile.device) is another node's",
          remedy: "Give each node a state folder of its own")
      }
      guard
        known.record.profile.cores != profile.cores
          || known.record.profile.memory != profile.memory
      else { return }
      // Another claim: what was proved says nothing of it.
      let state = DeviceState(profile.device, kinds: kinds(of: profile))
      if known.state.status != state.status {
        note(
          Transition(
            device: profile.device, epoch: known.state.epoch ?? epoch, from: known.state.status,
            to: state.status, reason: .claimChanged, rating: known.state.rating))
      }
      let mark = DeviceMark(
        reason: Transition.Reason.claimChanged.name, since: clock.now())
      add(
        Device(
          record: DeviceRecord(node: node, profile: profile, state: state, mark: mark),
          limit: known.limit, needsRun: true, metAt: now, calledAt: known.calledAt))
      return
    }
    let before =
      if let gpu = profile.gpu {
        gpusOf[node]?.first { devices[$0]?.record.profile.gpu?.uuid == gpu.uuid }
      } else {
        deviceOf[node]
      }
    if let before { forget(before, of: node) }
    add(
      Device(
        record: DeviceRecord(
          node: node, profile: profile,
          state: DeviceState(profile.device, kinds: kinds(of: profile)), mark: DeviceMark()),
        limit: limit, needsRun: true, metAt: now))
  }

  private func add(_ device: Device) {
    devices[device.id] = device
    link(device.record)
    save(device)
  }

  // MARK: Jobs

  /// Whom jobs have, or had until now.
  func noteHired(_ held: [PeerID: Holding], _ alive: [PeerID: NodeSnapshot]) {
    let now = clock.elapsed()
    for (id, device) in devices {
      if let at = device.saidBusyAt, now - at >= settings.busyPause {
        devices[id]?.saidBusyAt = nil
      }
      let hasLeases = (held[device.node]?.leases ?? 0) > 0
      let isHired = hasLeases || devices[id]?.saidBusyAt != nil
      if hasLeases { devices[id]?.wasLeased = true }
      guard isHired != device.state.isHired else { continue }
      if isHired {
        take(id)
      } else if alive[device.node] != nil {
        giveBack(id, alive)
      }
    }
  }

  /// Jobs have a device: what it worked on is given up.
  func take(_ id: DeviceID) {
    devices[id]?.open = nil
    devices[id]?.table = nil
    apply(.hired(true), to: id)
  }

  /// They have it no longer: a full run.
  private func giveBack(_ id: DeviceID, _ alive: [PeerID: NodeSnapshot]) {
    guard let device = devices[id] else { return }
    let state = device.state
    if let last = state.epoch, last < epoch {
      // Its window was another epoch's. No lane check: the full run comes at once.
      apply(.windowBegan(epoch: epoch), to: id)
      actions.removeAll { $0.device == id && $0.action == .checkLanes(epoch: epoch) }
    }
    devices[id]?.wasLeased = false
    // Before the assignment, which has the devices to itself.
    let cohort = cohort(of: id, in: groups(alive).groups.map { Set($0) })
    devices[id]?.cohort = cohort
    apply(.hired(false), to: id)
    // The head knows of no job there: who only says that it is busy is tested with its group.
    if !device.wasLeased {
      for other in devices[id]?.cohort ?? [] where other != id {
        apply(.runBeside(epoch: epoch), to: other)
      }
    }
    if state.epoch == nil { devices[id]?.needsRun = true }
  }

  // MARK: The window

  /// Begins the hour's window once its time has come, and each of its bursts.
  func beginWindow(_ alive: [PeerID: NodeSnapshot]) {
    let (now, epoch) = (clock.now(), epoch)
    if windowEpoch < epoch, let start = try? secrets.schedule.windowStart(of: epoch),
      Int64(now) >= start
    {
      windowEpoch = epoch
      bursts = []
      // A head that comes too late leaves the hour out: marks are good for another.
      if Int64(now) < start + EpochSchedule.windowSeconds / 2 { planBursts(at: now, alive) }
    }
    while let burst = bursts.first, burst.at <= now {
      bursts.removeFirst()
      let groups = groups(alive).groups.map { Set($0) }
      for id in burst.devices {
        guard let device = devices[id], alive[device.node] != nil else { continue }
        // Before the assignment, which has the devices to itself.
        let cohort = cohort(of: id, in: groups)
        devices[id]?.cohort = cohort
        // Who was run out of turn in this epoch is run again: nobody chooses when it is tested.
        let isNew = device.state.epoch.map { $0 < epoch } ?? true
        apply(isNew ? .windowBegan(epoch: epoch) : .runCalled(epoch: epoch), to: id)
      }
    }
  }

  private func planBursts(at now: Double, _ alive: [PeerID: NodeSnapshot]) {
    var generator = SystemRandomNumberGenerator()
    let spacing = settings.burstSpacing.inSeconds
    bursts = groups(alive).bursts(capacity: settings.burst, using: &generator)
      .enumerated().map { (now + Double($0) * spacing, $1) }
  }

  /// Runs what is to be run out of turn, each with its whole group at the same instant.
  func callOutOfTurn(_ alive: [PeerID: NodeSnapshot]) {
    let (now, epoch) = (clock.elapsed(), epoch)
    for (id, device) in devices {
      // It was away when the window was.
      let wasAway =
        windowEpoch == epoch && device.state.epoch != epoch && !device.state.isHired
        && !device.record.mark.isVerified(inEpoch: epoch)
        && !bursts.contains { $0.devices.contains(id) }
      if wasAway { devices[id]?.needsRun = true }
    }
    let waiting = Set(
      devices.values.lazy.filter { device in
        device.needsRun && alive[device.node] != nil && !device.state.isHired
          && now - device.metAt >= Self.settling
      }.map(\.id))
    guard !waiting.isEmpty else { return }
    for group in groups(alive).groups where !waiting.isDisjoint(with: group) {
      let all = group.compactMap { devices[$0] }
      // One of a node's processor and its GPUs proves something at a time.
      let isResting = all.contains { member in
        member.state.isOpen || member.isProbing || askingGPUs.contains(member.node)
      }
      guard !isResting else {
        if all.contains(where: { measured.contains($0.id) }) { linesGiveWay = true }
        continue
      }
      // Processors first: what a GPU waits for.
      let isGPU = all.allSatisfy { $0.isGPU || !waiting.contains($0.id) }
      let members = all.filter { $0.isGPU == isGPU }
      let isPausing = members.contains { member in
        member.calledAt.map { now - $0 < settings.callPause } ?? false
      }
      guard !isPausing else { continue }
      // Short rounds for newcomers; never beside a device whose rounds are long, because what shares
      // its machine would then have some of them to itself.
      let isAdmission = members.allSatisfy { $0.record.mark.since == nil && !$0.state.isHired }
      for member in members where !member.state.isHired {
        devices[member.id]?.needsRun = false
        devices[member.id]?.isAdmitted = isAdmission
        devices[member.id]?.calledAt = now
        devices[member.id]?.cohort = Set(members.map(\.id))
        apply(.runCalled(epoch: epoch), to: member.id)
      }
    }
  }

  /// Devices of alive nodes that could be one.
  func groups(_ alive: [PeerID: NodeSnapshot]) -> ConflictGroups {
    var traits: [DeviceID: ConflictGroups.Traits] = [:]
    for device in devices.values {
      guard let node = alive[device.node] else { continue }
      // A node's GPUs belong to it.
      let own = device.isGPU ? [deviceOf[device.node]].compactMap(\.self) : []
      traits[device.id] = ConflictGroups.Traits(
        owner: authoriser.peers.owner(of: device.node),
        addressBlock: Self.block(of: node.facts.address),
        gpus: Set(node.facts.gpus.map(\.uuid).filter { !$0.isEmpty }),
        boardSerial: device.record.profile.board?.description,
        latencyTwins: Set((twins[device.node] ?? []).compactMap { deviceOf[$0] } + own))
    }
    return ConflictGroups(traits)
  }

  /// Those of a device's group that are called together with it: processors are no GPUs.
  private func cohort(of id: DeviceID, in groups: [Set<DeviceID>]) -> Set<DeviceID> {
    let isGPU = devices[id]?.isGPU
    return (groups.first { $0.contains(id) } ?? []).filter { devices[$0]?.isGPU == isGPU }
  }

  /// The /24, or /48 of IPv6, that an address is in.
  private static func block(of text: String) -> String? {
    guard let address = IPAddress(text) else { return nil }
    return IPPrefix(address, length: address.isIPv6 ? 48 : 24)?.masked.description
  }
}

extension NodeSnapshot {
  /// The cores that it would prove: whole ones, at least one.
  var provableCores: Int { min(max(1, facts.milliCPUs / 1000), LanePuzzle.allowedCores.upperBound) }
}
