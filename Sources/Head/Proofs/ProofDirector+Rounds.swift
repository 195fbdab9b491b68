internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import Logging

/// Rounds: challenges go out, and close where no answer comes.
extension ProofDirector {
  /// The round of a hired device's lane check: an odd one, in which a full run searches for digests.
  private static let laneCheckRound = 63

  /// Does what the devices' states have asked for.
  func perform() {
    let due = actions
    actions = []
    for (id, action) in due {
      switch action {
      case .challenge(let epoch, let round): issue(to: id, epoch: epoch, round: round)
      case .checkLanes(let epoch):
        issue(to: id, epoch: epoch, round: Self.laneCheckRound, isLaneCheck: true)
      case .record: break
      }
    }
    // An issue that failed has asked for more.
    if !actions.isEmpty { perform() }
  }

  /// Even rounds compute lanes, odd ones search: both must be what the claim says.
  private func issue(to id: DeviceID, epoch: Int64, round: Int, isLaneCheck: Bool = false) {
    guard let device = devices[id] else { return }
    let kind: PuzzleKind = isLaneCheck || round % 2 == 0 ? .lane : .hash
    let profile = device.record.profile
    let work = isLaneCheck ? settings.laneCheck : roundLength(of: device)
    let cores = isLaneCheck ? 1 : profile.cores
    let expected = (profile.rates[kind] ?? 0) / Double(profile.cores) * Double(cores)
    do {
      let puzzle = try Self.puzzle(kind, cores: cores, rate: expected, seconds: work.inSeconds)
      let opens = Int64(clock.now() * 1000)
      // Three times the work: who is slow is to be measured, not late. A lane check beside jobs gets
      // what is left of a core.
      let time = work * (isLaneCheck ? 20 : 3) + settings.slack
      let challenge = try secrets.issuer.challenge(
        puzzle, for: id, epoch: epoch, beacon: secrets.combinedBeacon(of: epoch), round: round,
        opensAtMilliseconds: opens,
        deadlineMilliseconds: opens + Int64(time / .milliseconds(1)))
      devices[id]?.open = OpenRound(
        challenge: challenge, expectedRate: expected, isLaneCheck: isLaneCheck,
        closesAt: clock.elapsed() + time + settings.slack)
      let node = device.node
      tasks.run { await self.send(challenge, to: node, besideJobs: isLaneCheck) }
    } catch {
      logger.error("no challenge could be made", metadata: ["error": "\(error)"])
      if !isLaneCheck { apply(.verifierFailed(round: round), to: id) }
    }
  }

  /// How long the work of a round takes a device that is what it claims. A failed admission is
  /// followed by whole rounds: its transition is on record by then.
  private func roundLength(of device: Device) -> Duration {
    guard device.isAdmitted, device.record.mark.since == nil else { return settings.round }
    // The way to the device and back counts against it: 2 % at most. A node says its trip itself.
    let trip = tripsToNodes[device.node] ?? 0
    guard (0...1000).contains(trip) else { return settings.round }
    return min(max(settings.admissionRound, .milliseconds(50 * trip)), settings.round)
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
        // It is another device by now.
        deviceOf[node] = nil
        askAgainAt[node] = nil
        devices[challenge.device] = nil
      } else if error.code == .noMemoryForProof || error.code == .kernelBroken {
        close(challenge.device, challenge)
      }
    } catch {
      logger.info("node \(node.short) did not begin a proof: \(error)")
    }
    perform()
    await flushLater()
  }

  /// Jobs have a device that the head took for idle.
  func isBusy(_ challenge: [UInt8], of id: DeviceID) {
    guard let open = devices[id]?.open, open.challenge.id == challenge else { return }
    devices[id]?.open = nil
    if open.isLaneCheck {
      apply(.laneCheck(passed: false), to: id)
    } else {
      devices[id]?.saidBusyAt = clock.elapsed()
      take(id)
    }
  }

  /// Closes rounds whose time is over.
  func closeRounds() {
    let now = clock.elapsed()
    for device in devices.values {
      guard let open = device.open, open.answering == 0, now >= open.closesAt else { continue }
      close(device.id, open.challenge)
    }
  }

  private func close(_ id: DeviceID, _ challenge: Challenge) {
    guard let open = devices[id]?.open, open.challenge == challenge else { return }
    devices[id]?.open = nil
    apply(
      open.isLaneCheck ? .laneCheck(passed: false) : .unanswered(round: challenge.round), to: id)
  }
}
