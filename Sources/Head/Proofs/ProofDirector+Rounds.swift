internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// Rounds: challenges go out, and close where no answer comes.
extension ProofDirector {
  /// The round of a hired device's lane check: none of a run's.
  private static let laneCheckRound = DeviceState.rounds.upperBound

  /// Does what the devices' states have asked for.
  func perform() {
    // A second try is beside all that could be the same machine, whatever they have proved: who kept
    // still while the other was tested must not have the machine to itself.
    for id in reruns {
      for other in devices[id]?.cohort ?? [] where other != id {
        devices[other]?.cohort.insert(id)
        apply(.runBeside(epoch: epoch), to: other)
      }
    }
    reruns = []
    let due = actions
    actions = []
    for (id, action) in due {
      switch action {
      case .challenge(let epoch, let round, let kind):
        // What is left of an earlier round is over.
        devices[id]?.open = nil
        if kind.needsTable {
          issueWalk(to: id, epoch: epoch, round: round)
        } else {
          devices[id]?.table = nil
          issue(kind, to: id, epoch: epoch, round: round)
        }
      // A hired GPU's mark is held by its node's lanes: whoever has the GPU has all of it.
      case .checkLanes where devices[id]?.isGPU == true: break
      case .checkLanes(let epoch):
        issue(.lane, to: id, epoch: epoch, round: Self.laneCheckRound, isLaneCheck: true)
      case .record: break
      }
    }
    orderTables()
    beginWalks()
    // An issue that failed has asked for more.
    if !actions.isEmpty { perform() }
  }

  /// Lanes and searches: both must be what the claim says.
  private func issue(
    _ kind: PuzzleKind, to id: DeviceID, epoch: Int64, round: Int, isLaneCheck: Bool = false
  ) {
    guard let device = devices[id] else { return }
    let profile = device.record.profile
    let work = isLaneCheck ? settings.laneCheck : roundLength(of: device)
    let cores = isLaneCheck ? 1 : profile.cores
    let claimed = (profile.rates[kind] ?? 0) / Double(profile.cores) * Double(cores)
    let expected = settings.catalogue.expectation(
      of: processors[device.node] ?? "", kind, cores: cores, claimed: claimed)
    do {
      let puzzle = try Self.puzzle(
        kind, cores: cores, rate: expected.rate, seconds: work.inSeconds)
      // Three times the work: who is slow is to be measured, not late. A lane check beside jobs gets
      // what is left of a core.
      try open(
        puzzle, for: id, epoch: epoch, round: round, expected: expected,
        within: work * (isLaneCheck ? 20 : 3) + settings.slack, isLaneCheck: isLaneCheck)
    } catch {
      logger.error("no challenge could be made", metadata: ["error": "\(error)"])
      if !isLaneCheck { apply(.verifierFailed(round: round), to: id) }
    }
  }

  /// A challenge goes out. Throws faults of the verifier.
  func open(
    _ puzzle: Puzzle, for id: DeviceID, epoch: Int64, round: Int,
    expected: ModelCatalogue.Expectation, within time: Duration, isLaneCheck: Bool = false
  ) throws {
    guard let node = devices[id]?.node else { return }
    let opens = Int64(clock.now() * 1000)
    let challenge = try secrets.issuer.challenge(
      puzzle, for: id, epoch: epoch, beacon: secrets.combinedBeacon(of: epoch), round: round,
      opensAtMilliseconds: opens, deadlineMilliseconds: opens + Int64(time / .milliseconds(1)))
    devices[id]?.opens[puzzle.kind] = OpenRound(
      challenge: challenge, expected: expected, isLaneCheck: isLaneCheck,
      issuedAt: clock.elapsed(), closesAt: clock.elapsed() + time + settings.slack)
    tasks.run { await self.send(challenge, to: node, besideJobs: isLaneCheck) }
  }

  /// How long the work of a round takes a device that is what it claims. A failed admission is
  /// followed by whole rounds: its transition is on record by then.
  func roundLength(of device: Device) -> Duration {
    guard isNewcomer(device) else { return settings.round }
    // The way to the device and back counts against it: 2 % at most. A node says its trip itself.
    let trip = tripsToNodes[device.node] ?? 0
    guard (0...1000).contains(trip) else { return settings.round }
    return min(max(settings.admissionRound, .milliseconds(50 * trip)), settings.round)
  }

  /// True in the short first run of a device of which nothing is on record yet.
  func isNewcomer(_ device: Device) -> Bool {
    device.isAdmitted && device.record.mark.since == nil
  }

  private static func puzzle(
    _ kind: PuzzleKind, cores: Int, rate: Double, seconds: Double
  ) throws -> Puzzle {
    if kind == .hash { return try .hash(HashPuzzle(milliseconds: max(1, Int(seconds * 1000)))) }
    let steps = rate * seconds / Double(LanePuzzle.lanesPerCore * cores)
    return try .lane(LanePuzzle(cores: cores, stepsOfLane: max(1, Int(min(steps, 1e12)))))
  }

  private func send(_ challenge: Challenge, to node: PeerID, besideJobs: Bool) async {
    do {
      let start = try await prover(node).start(challenge, besideJobs: besideJobs, caller: head)
      if start == .busy { isBusy(challenge.id, of: challenge.device) }
    } catch let error as IorunError {
      logger.info("node \(node.short) did not begin a proof: \(error)")
      // What cannot be reached may still answer until the round closes.
      if error.code == .malformed {
        forget(challenge.device, of: node)
      } else if error.code == .noMemoryForProof || error.code == .kernelBroken {
        close(challenge.device, challenge)
      }
    } catch {
      logger.info("node \(node.short) did not begin a proof: \(error)")
    }
    perform()
    await flushLater()
  }

  /// A node is another device by now.
  func forget(_ id: DeviceID, of node: PeerID) {
    if devices[id]?.isGPU == true {
      gpusOf[node]?.remove(id)
      askGPUsAgainAt[node] = nil
    } else {
      deviceOf[node] = nil
      askAgainAt[node] = nil
    }
    devices[id] = nil
  }

  /// Jobs have a device that the head took for idle.
  func isBusy(_ challenge: [UInt8], of id: DeviceID) {
    guard let open = devices[id]?.opens.values.first(where: { $0.challenge.id == challenge })
    else { return }
    devices[id]?.open = nil
    if open.isLaneCheck {
      checkedLanes(of: id, passed: false)
    } else {
      devices[id]?.saidBusyAt = clock.elapsed()
      take(id)
    }
  }

  /// Closes rounds whose time is over.
  func closeRounds() {
    let now = clock.elapsed()
    for device in devices.values {
      for open in device.opens.values where open.answering == 0 && now >= open.closesAt {
        close(device.id, open.challenge)
      }
    }
    closeTables()
  }

  /// Gives up the rounds of devices whose node is gone, or began anew, since they were issued: a process
  /// that was killed has failed nothing. They are run again once they are back.
  func dropInterrupted(_ nodes: [NodeSnapshot]) {
    let known = Dictionary(nodes.lazy.map { ($0.id, $0) }, uniquingKeysWith: { $1 })
    for device in devices.values {
      let ordered = device.state.openKind?.needsTable == true ? device.table?.orderedAt : nil
      guard let began = device.open?.issuedAt ?? ordered,
        device.opens.values.allSatisfy({ $0.answering == 0 })
      else { continue }
      let isOver = device.open.map { clock.elapsed() >= $0.closesAt } ?? false
      let node = known[device.node]
      switch node?.state {
      // Whoever is only late may still answer, in time.
      case .suspect where !isOver: continue
      case .alive where (node?.registeredAt ?? began) <= began: continue
      case .alive, .suspect, .unreachable, .dead, .left, nil: interrupt(device)
      }
    }
  }

  private func interrupt(_ device: Device) {
    let isLaneCheck = device.open?.isLaneCheck ?? false
    devices[device.id]?.open = nil
    devices[device.id]?.table = nil
    // The mark of a hired device that is gone expires by itself.
    guard !isLaneCheck else { return }
    apply(.interrupted(round: device.state.issued - 1), to: device.id)
    devices[device.id]?.needsRun = true
  }

  private func close(_ id: DeviceID, _ challenge: Challenge) {
    guard let open = devices[id]?.round(of: challenge) else { return }
    devices[id]?.open = nil
    if open.isLaneCheck {
      checkedLanes(of: id, passed: false)
    } else {
      apply(.unanswered(round: challenge.round), to: id)
    }
  }

  /// A hired node's lane check is over; it counts for its GPUs as well.
  func checkedLanes(of id: DeviceID, passed: Bool) {
    apply(.laneCheck(passed: passed), to: id)
    for gpu in devices[id].flatMap({ gpusOf[$0.node] }) ?? [] {
      apply(.laneCheck(passed: passed), to: gpu)
    }
  }
}
