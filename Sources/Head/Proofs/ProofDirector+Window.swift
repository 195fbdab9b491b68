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

  /// Asks nodes that are new, or offer other cores than they proved, who they are.
  func meet(_ alive: [PeerID: NodeSnapshot]) {
    let now = clock.elapsed()
    for (node, snapshot) in alive where !asking.contains(node) {
      guard askAgainAt[node].map({ now >= $0 }) ?? true else { continue }
      let known = deviceOf[node].flatMap { devices[$0]?.record.profile }
      guard known?.cores != snapshot.provableCores else { continue }
      asking.insert(node)
      tasks.run { await self.ask(node) }
    }
  }

  private func ask(_ node: PeerID) async {
    do {
      let profile = try await prover(node).profile(caller: head)
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
      guard known.record.profile.cores != profile.cores else { return }
      // Another claim: what was proved says nothing of it.
      let state = DeviceState(profile.device)
      if known.state.status != state.status {
        note(
          Transition(
            device: profile.device, epoch: known.state.epoch ?? epoch, from: known.state.status,
            to: state.status, reason: .claimChanged, test: known.state.test))
      }
      let mark = DeviceMark(
        reason: Transition.Reason.claimChanged.name, since: clock.now())
      add(
        Device(
          record: DeviceRecord(node: node, profile: profile, state: state, mark: mark),
          limit: known.limit, needsRun: true, metAt: now, calledAt: known.calledAt))
      return
    }
    if let before = deviceOf[node] { devices[before] = nil }
    add(
      Device(
        record: DeviceRecord(
          node: node, profile: profile, state: DeviceState(profile.device), mark: DeviceMark()),
        limit: limit, needsRun: true, metAt: now))
  }

  private func add(_ device: Device) {
    devices[device.id] = device
    deviceOf[device.node] = device.id
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
      guard isHired != device.state.isHired else { continue }
      if isHired {
        take(id)
      } else if alive[device.node] != nil {
        giveBack(id)
      }
    }
  }

  /// Jobs have a device: what it worked on is given up.
  func take(_ id: DeviceID) {
    devices[id]?.open = nil
    apply(.hired(true), to: id)
  }

  /// They have it no longer: a full run.
  private func giveBack(_ id: DeviceID) {
    guard let state = devices[id]?.state else { return }
    if let last = state.epoch, last < epoch {
      // Its window was another epoch's. No lane check: the full run comes at once.
      apply(.windowBegan(epoch: epoch), to: id)
      actions.removeAll { $0.device == id && $0.action == .checkLanes(epoch: epoch) }
    }
    apply(.hired(false), to: id)
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
      for id in burst.devices {
        guard let device = devices[id], alive[device.node] != nil else { continue }
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
      let members = group.compactMap { devices[$0] }
      let isResting = members.contains { member in
        member.state.isOpen || member.calledAt.map { now - $0 < settings.callPause } ?? false
      }
      guard !isResting else { continue }
      // Short rounds for newcomers; never beside a device whose rounds are long, because what shares
      // its machine would then have some of them to itself.
      let isAdmission = members.allSatisfy { $0.record.mark.since == nil && !$0.state.isHired }
      for member in members where !member.state.isHired {
        devices[member.id]?.needsRun = false
        devices[member.id]?.isAdmitted = isAdmission
        devices[member.id]?.calledAt = now
        apply(.runCalled(epoch: epoch), to: member.id)
      }
    }
  }

  /// Devices of alive nodes that could be one.
  func groups(_ alive: [PeerID: NodeSnapshot]) -> ConflictGroups {
    var traits: [DeviceID: ConflictGroups.Traits] = [:]
    for device in devices.values {
      guard let node = alive[device.node] else { continue }
      traits[device.id] = ConflictGroups.Traits(
        owner: authoriser.peers.owner(of: device.node),
        addressBlock: Self.block(of: node.facts.address),
        gpus: Set(node.facts.gpus.map(\.uuid).filter { !$0.isEmpty }),
        boardSerial: device.record.profile.board?.description,
        latencyTwins: Set((twins[device.node] ?? []).compactMap { deviceOf[$0] }))
    }
    return ConflictGroups(traits)
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
