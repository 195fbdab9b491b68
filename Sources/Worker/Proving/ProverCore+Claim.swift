internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// What a node claims: its own rates, measured when its head first asks.
extension ProverCore {
  /// Measures each kind of work with the solver that will prove it, so that claim and proof have the
  /// same overheads.
  func measure() async throws -> ProverProfile {
    try await Blocking.run { try KernelSelfTest.run() }
    await restGPUs()
    let givingWay = GivingWay()
    let room = min(Self.mostCalibrationBytes, Int(clamping: memory.rawValue / 4))
    guard isIdle, held == nil, !isStopped,
      await machine.take(Int64(room) + 1 << 20, givingWay.want)
    else { throw Self.isBusy }
    defer { machine.giveBack() }
    do {
      let milliseconds = max(1, Int(calibration / .milliseconds(1)))
      let hash = try await rate(of: .hash(HashPuzzle(milliseconds: milliseconds)), givingWay)
      // Twice: the first, of a few milliseconds, says how long the second has to be.
      let short = try await rate(of: Self.lanes(cores: cores, steps: 1 << 16), givingWay)
      let steps = short / Double(LanePuzzle.lanesPerCore * cores) * (calibration / .seconds(1))
      let lane = try await rate(of: Self.lanes(cores: cores, steps: Int(steps)), givingWay)
      var rates: [PuzzleKind: Double] = [.hash: hash, .lane: lane]
      rates[.memory] = try await walkRate(room, laneRate: lane, givingWay)
      return ProverProfile(
        device: device, cores: cores, memory: memory, rates: rates, board: board)
    } catch let error as IorunError where error.code == .cancelled {
      throw Self.isBusy
    }
  }

  /// The most that the claim's table takes: many times any cache.
  private static let mostCalibrationBytes = 256 << 20

  /// Steps a second of walks over a table of at most `room` bytes; its labels are cheap ones, which
  /// makes no difference to a walk. `nil` where there is no room for any.
  private func walkRate(
    _ room: Int, laneRate: Double, _ givingWay: GivingWay
  ) async throws -> Double? {
    let quick = laneRate * (calibration / .seconds(1))
    let labels = min(room / 32, Int(min(quick, 1e9)))
    guard labels >= MemoryPuzzle.allowedLabels.lowerBound, freeMemory.has(32 * labels) else {
      return nil
    }
    let order = try TableOrder(
      device: device, epoch: 0, beacon: SHA256.digest(of: device.bytes), labels: labels,
      labelSteps: 1)
    let filler = try Solver(filling: order, threads: cores, memory: room)
    givingWay.use(filler)
    guard case .committed(let filled) = try await filler.solve() else { return nil }
    func rate(segments: Int) async throws -> Double {
      let puzzle = try MemoryPuzzle(
        labels: labels, labelSteps: 1, cores: cores,
        segments: min(max(1, segments), 4096), segmentSteps: 128)
      return try await self.rate(of: .memory(puzzle), givingWay, table: filled.table)
    }
    let short = try await rate(segments: 2)
    let steps = short * (calibration / .seconds(1))
    return try await rate(
      segments: Int(min(steps / Double(128 * MemoryPuzzle.walkersPerCore * cores), 1e6)))
  }

  static let isBusy = IorunError(
    .overloaded, "jobs have this machine, and its rates are not measured yet",
    remedy: "Wait until it is idle")

  private func rate(
    of puzzle: Puzzle, _ givingWay: GivingWay, table: LabelTable? = nil
  ) async throws -> Double {
    let issuer = try ChallengeIssuer(secret: SecureRandom.bytes(ChallengeIssuer.secretByteCount))
    let challenge = try issuer.challenge(
      puzzle, for: device, epoch: 0, beacon: SHA256.digest(of: device.bytes), round: 0,
      opensAtMilliseconds: 0, deadlineMilliseconds: 1)
    let solver = try Solver(
      challenge, threads: cores, memory: Int(clamping: memory.rawValue), table: table)
    givingWay.use(solver)
    let start = ContinuousClock.now
    _ = try await solver.solve()
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return Double(solver.progress.done) / max(seconds, 1e-6)
  }

  /// Short lanes, with nodes of the size that a whole round has: smaller ones would make the claim
  /// too low.
  private static func lanes(cores: Int, steps: Int) throws -> Puzzle {
    let nodeSteps = 256
    var depth = 1
    while depth < 14, steps >> (depth + 1) > nodeSteps { depth += 1 }
    return try .lane(LanePuzzle(cores: cores, depth: depth, nodeSteps: nodeSteps))
  }
}
