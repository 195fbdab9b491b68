internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// Memory is filled before the head's clock runs, and kept for the walks, with the machine. A job that
/// starts gets both at once.
extension ProverCore {
  /// How long a full table waits for the first walk: others, which could be the same machine, may
  /// still be filling theirs.
  static let patience = Duration.seconds(300)
  /// How long it waits for the next.
  static let patienceBetweenWalks = Duration.seconds(30)

  func prepare(_ order: TableOrder, caller: PeerID) async throws -> ProofStart {
    try admit(caller)
    if let gpu = gpu(order.device) {
      await leaveToGPUs()
      return try await gpu.prepare(order)
    }
    try check(isOwn: order.device)
    await restGPUs()
    try check(fits: order.byteCount)
    await endWork()
    if let held, held.order == order, !held.givingWay.isWanted {
      keepTable(for: Self.patience)
      return .ready
    }
    dropTable()
    guard !isStopped, isIdle else { return .busy }
    guard freeMemory.has(order.byteCount) else {
      throw IorunError(
        .noMemoryForProof,
        "the machine has no room for \(Bytes(UInt64(order.byteCount))) of labels in the \(memory) "
          + "that it offers",
        remedy: "End what else uses the machine's memory")
    }
    let free = freeMemory
    let solver = try Solver(
      filling: order, threads: cores, memory: Int(clamping: memory.rawValue),
      hasRoom: { free.has(0) })
    let task = Task { try await self.fill(order, with: solver) }
    filling = (solver, task)
    return try await task.value
  }

  private func fill(_ order: TableOrder, with solver: Solver) async throws -> ProofStart {
    defer { filling = nil }
    let givingWay = GivingWay()
    guard await machine.take(Int64(order.byteCount), givingWay.want) else { return .busy }
    givingWay.use(solver)
    do {
      guard case .committed(let filled) = try await solver.solve(), let table = filled.table,
        !givingWay.isWanted, !isStopped
      else {
        machine.giveBack()
        return .busy
      }
      held = HeldTable(order: order, table: table, givingWay: givingWay)
      keepTable(for: Self.patience)
      return .ready
    } catch let error as IorunError where error.code == .cancelled {
      machine.giveBack()
      return .busy
    } catch {
      machine.giveBack()
      throw error
    }
  }

  /// The table for a challenge, if it is the one that waits. Any other work ends the wait.
  func takeTable(for challenge: Challenge) -> HeldTable? {
    guard let held, held.order.seed == challenge.tableSeed, !held.givingWay.isWanted else {
      dropTable()
      return nil
    }
    heldCount += 1
    return held
  }

  /// The table waits from now on, until somebody wants the machine or nobody asks for so long.
  func keepTable(for patience: Duration) {
    heldCount += 1
    let count = heldCount
    held?.givingWay.use { Task { await self.dropTable(ifStill: count) } }
    Task { [weak self] in
      try? await Task.sleep(for: patience)
      await self?.dropTable(ifStill: count)
    }
  }

  func dropTable(ifStill count: Int) {
    if count == heldCount { dropTable() }
  }

  /// Gives table and machine back.
  func dropTable() {
    guard let table = held else { return }
    heldCount += 1
    held = nil
    // Its last solver holds the memory, too.
    table.givingWay.use {}
    machine.giveBack()
  }

  /// Throws `noMemoryForProof` for more than the node offers.
  func check(fits bytes: Int) throws {
    guard bytes <= Int(clamping: memory.rawValue) else {
      throw IorunError(
        .noMemoryForProof,
        "the puzzle takes \(Bytes(UInt64(bytes))) of memory, \(memory) are offered",
        remedy: "Ask for what the node offers")
    }
  }
}

extension WorkerStatus.Proof.Last {
  /// How work ended.
  init(_ end: ProofProgress, at time: Double) {
    self.init(
      kind: end.kind.rawValue, state: end.state.rawValue, isAccepted: end.verdict?.isAccepted,
      refusal: end.verdict?.refusal?.rawValue, rate: end.verdict?.rate, unit: end.kind.unit,
      reason: end.reason, at: time)
  }
}
