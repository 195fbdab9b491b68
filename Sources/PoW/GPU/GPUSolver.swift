internal import Foundation
public import IorunCore
internal import IorunCrypto

/// What a GPU does, measured as it is asked for: products and walks at the same time.
public struct GPURates: Hashable, Codable, Sendable {
  /// Groups of 48 walkers.
  public var groups: Int
  /// Steps of labels a second while memory is filled.
  public var label: Double
  /// Steps of walks a second.
  public var walk: Double
  /// Multiplications a second.
  public var product: Double

  /// Describes rates.
  public init(groups: Int, label: Double, walk: Double, product: Double) {
    (self.groups, self.label, self.walk, self.product) = (groups, label, walk, product)
  }
}

/// Solves what one GPU is asked for: fills its memory, and walks over it while it multiplies. The answers are
/// the same bits where the processor stands in for it, which only takes longer.
public actor GPUSolver {
  /// Who computes.
  public enum Chip: Hashable, Sendable {
    /// The GPU with that UUID.
    case gpu(uuid: String)
    /// The machine's processor.
    case processor
  }

  private enum Backend {
    /// The same GPU twice, each with a queue of its own.
    case gpu(walks: GPUDevice, products: GPUDevice)
    case processor

    var walks: GPUDevice? { if case .gpu(let walks, _) = self { walks } else { nil } }
    var products: GPUDevice? { if case .gpu(_, let products) = self { products } else { nil } }
  }

  private let backend: Backend
  private var table: CommittedWork?
  private var works: [[UInt8]: CommittedWork] = [:]
  /// Trees are the machine's own work.
  private static let threads = max(1, min(4, ProcessInfo.processInfo.activeProcessorCount / 2))
  /// What the machine's own memory may give for these.
  private static let hostBytes = 8 << 30
  /// Walkers that keep a multiprocessor busy: so many groups of 48 for each.
  private static let groupsOfMultiprocessor = 2
  /// A commitment is opened soon after it was made, or never.
  private static let mostWorks = 4

  /// Opens a GPU. Throws `gpuMissing`, `gpuBusy`, `gpuFault`.
  public init(_ chip: Chip) throws {
    switch chip {
    case .processor: backend = .processor
    case .gpu(let uuid):
      let gpu = try GPUDevice(uuid: uuid)
      backend = .gpu(walks: gpu, products: try GPUDevice(beside: gpu))
    }
  }

  /// On a GPU that is open already.
  init(on gpu: GPUDevice) throws {
    backend = .gpu(walks: gpu, products: try GPUDevice(beside: gpu))
  }

  /// Fills memory, and keeps it for the walks. Throws `noMemoryForProof`, `gpuFault`, `cancelled`.
  public func fill(_ order: TableOrder) async throws {
    if let table, table.gpuTable?.seed ?? table.table?.seed == order.seed { return }
    // Before the new one is taken.
    (table, works) = (nil, [:])
    table = try await filled(order).work
  }

  /// The roots of the work on a challenge; the work is kept until it is opened. Throws what `Solver` throws,
  /// `malformed` where a walk's memory was not filled before.
  public func solve(_ challenge: Challenge) async throws -> [Digest] {
    let work = try await self.work(challenge, over: table).work
    if works.count >= Self.mostWorks { works = [:] }
    works[challenge.id] = work
    return work.roots
  }

  /// Opens pieces of the work on a challenge. Throws `notFound` where there is none.
  public func open(_ request: OpeningRequest) throws -> Answer {
    guard let work = works.removeValue(forKey: request.challenge.id) else {
      throw IorunError(.notFound, "no work on that challenge is kept", remedy: "Solve it again")
    }
    return work.answer(to: request)
  }

  /// Measures what it does, for a claim: with puzzles of the kind and the load of a round.
  ///
  /// - Parameters:
  ///   - memory: bytes of the GPU's memory that it offers.
  ///   - seconds: how long a measurement takes, about.
  /// - Throws: as the work itself.
  public func measure(memory: Int, seconds: Double) async throws -> GPURates {
    (table, works) = (nil, [:])
    defer { (table, works) = (nil, [:]) }
    let groups = backend.walks.map {
      min(
        max(1, $0.description.multiprocessors * Self.groupsOfMultiprocessor),
        MemoryPuzzle.allowedCores.upperBound)
    }
    var rates = GPURates(groups: groups ?? 1, label: 0, walk: 0, product: 0)
    // The first time machine code is made; it says how much work the second takes.
    let least = MemoryPuzzle.allowedLabels.lowerBound
    rates.label = try await filled(Self.order(labels: least, labelSteps: 64)).rate
    // Many times any cache, a quarter of the memory at the most.
    let room = min(memory / 4, 1 << 30) / 32
    let labels = max(least, min(room, Int(rates.label * seconds / 64)))
    let full = try await filled(Self.order(labels: labels, labelSteps: 64))
    rates.label = full.rate
    // What is over at once says little: each time says how much work the next takes.
    for _ in 0..<Self.mostTries {
      let walk = try Self.walk(rates, labels: labels, seconds: seconds)
      let product = try Self.product(rates, memory: memory, seconds: seconds)
      async let walking = self.work(Self.challenge(.gpuMemory(walk)), over: full.work)
      async let multiplying = self.work(Self.challenge(.product(product)), over: nil)
      let (walked, multiplied) = try await (walking, multiplying)
      (rates.walk, rates.product) = (walked.rate, multiplied.rate)
      if min(walked.seconds, multiplied.seconds) >= seconds / 2 { break }
    }
    return rates
  }

  /// Rates grow with the work at first.
  private static let mostTries = 6

  /// Work that is done.
  private struct Done: Sendable {
    let work: CommittedWork
    /// In the kind's unit a second.
    let rate: Double
    let seconds: Double
  }

  // MARK: Work

  private func filled(_ order: TableOrder) async throws -> Done {
    let solver =
      if let gpu = backend.walks {
        try Solver(filling: order, on: gpu)
      } else {
        try Solver(filling: order, threads: Self.threads, memory: order.byteCount)
      }
    return try await Self.run(solver)
  }

  private func work(
    _ challenge: Challenge, over table: CommittedWork?
  ) async throws -> Done {
    let solver: Solver
    if challenge.puzzle.kind.needsTable {
      guard let filled = table?.gpuTable?.seed ?? table?.table?.seed,
        filled == challenge.tableSeed
      else {
        throw IorunError(
          .malformed, "a walk over memory that was not filled", remedy: "Order its table before")
      }
      solver = try Solver(
        challenge, threads: Self.threads, memory: Self.hostBytes, table: table?.table,
        gpu: backend.walks, gpuTable: table?.gpuTable)
    } else {
      solver = try Solver(
        challenge, threads: Self.threads, memory: Self.hostBytes, gpu: backend.products)
    }
    return try await Self.run(solver)
  }

  private static func run(_ solver: Solver) async throws -> Done {
    let start = ContinuousClock.now
    guard case .committed(let work) = try await solver.solve() else {
      throw IorunError(.malformed, "a GPU is asked for products and walks alone")
    }
    let seconds = (ContinuousClock.now - start) / .seconds(1)
    return Done(
      work: work, rate: Double(solver.progress.done) / max(seconds, 1e-6), seconds: seconds)
  }

  // MARK: What is measured

  private static func walk(
    _ rates: GPURates, labels: Int, seconds: Double
  ) throws -> MemoryPuzzle {
    // Before the first walk nobody knows; labels are made as fast as steps are taken, or faster.
    let rate = rates.walk > 0 ? rates.walk : rates.label / 4
    let steps = Double(rates.groups * MemoryPuzzle.walkersPerCore * GPUPlan.segmentSteps)
    return try MemoryPuzzle(
      labels: labels, labelSteps: 64, cores: rates.groups,
      segments: Int(min(max(1, rate * seconds / steps), 4096)), segmentSteps: GPUPlan.segmentSteps)
  }

  private static func product(
    _ rates: GPURates, memory: Int, seconds: Double
  ) throws -> ProductPuzzle {
    // Any GPU multiplies more than it hashes.
    let rate = rates.product > 0 ? rates.product : rates.label
    return try GPUPlan.product(rate: rate, seconds: seconds, memory: memory)
      ?? ProductPuzzle(size: ProductPuzzle.allowedSize.lowerBound)
  }

  private static let key = [UInt8](repeating: 9, count: 32)

  private static func order(labels: Int, labelSteps: Int) throws -> TableOrder {
    try TableOrder(
      device: DeviceID(SigningKey(rawRepresentation: key)), epoch: 0,
      beacon: SHA256.digest(of: key), labels: labels, labelSteps: labelSteps, isOnGPU: true)
  }

  private static func challenge(_ puzzle: Puzzle) throws -> Challenge {
    try ChallengeIssuer(secret: key).challenge(
      puzzle, for: DeviceID(SigningKey(rawRepresentation: key)), epoch: 0,
      beacon: SHA256.digest(of: key), round: 0, opensAtMilliseconds: 0, deadlineMilliseconds: 1)
  }
}
