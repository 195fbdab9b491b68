internal import IorunCore
internal import IorunCrypto

/// Compares a GPU with the CPU bit by bit: small puzzles are solved by both, through every kernel of
/// the GPU, and all roots must be the same. A root holds every number of a product, every label that
/// was met and every step.
public enum GPUSelfTest {
  /// What was compared.
  public struct Check: Hashable, Codable, Sendable {
    /// The kernels and sizes.
    public var name: String
    /// True where all bits were the same.
    public var isSame: Bool

    private enum CodingKeys: String, CodingKey {
      case name
      case isSame = "is_same"
    }
  }

  /// Runs all comparisons; takes seconds. Throws what opening and using the GPU throws; a difference
  /// is a check that is not the same.
  public static func run(_ gpu: GPUDevice) async throws -> [Check] {
    // 384 rows are 144 tiles: levels of the tree with an odd node. 2304 rows are two slabs, and 2^20
    // labels two blocks.
    try await run(gpu, sizes: [128, 384, 2304], labels: [5000, 1 << 20])
  }

  static func run(_ gpu: GPUDevice, sizes: [Int], labels: [Int]) async throws -> [Check] {
    var checks: [Check] = []
    for size in sizes {
      let puzzle = try ProductPuzzle(size: size, layers: size > 128 ? 1 : 2, openings: 1)
      let challenge = try challenge(.product(puzzle))
      for usesTensorCores in gpu.hasTensorProduct ? [true, false] : [false] {
        let work = try GPUProductWork(
          challenge, puzzle, on: gpu, usesTensorCores: usesTensorCores)
        checks.append(
          try await compare(
            work, challenge,
            "gpu.mm, \(usesTensorCores ? "tensor cores" : "dp4a"), n = \(size)"))
      }
    }
    for (labels, groups) in zip(labels, [3, 2]) {
      let puzzle = try MemoryPuzzle(
        labels: labels, labelSteps: 8, cores: groups, segments: 3, segmentSteps: 16, openings: 1)
      let challenge = try challenge(.gpuMemory(puzzle))
      let work = try GPUMemoryWork(challenge, puzzle, on: gpu, table: nil)
      checks.append(
        try await compare(work, challenge, "gpu.mem, \(labels) labels, \(48 * groups) walkers"))
    }
    return checks
  }

  private static func compare(
    _ work: any PuzzleWork, _ challenge: Challenge, _ name: String
  ) async throws -> Check {
    let onGPU = try await Solver(work, threads: 2).solve()
    let onCPU = try await Solver(challenge, threads: 2).solve()
    guard case .committed(let left) = onGPU, case .committed(let right) = onCPU else {
      return Check(name: name, isSame: false)
    }
    return Check(name: name, isSame: left.roots == right.roots)
  }

  private static func challenge(_ puzzle: Puzzle) throws -> Challenge {
    let bytes = [UInt8](repeating: 9, count: 32)
    guard let beacon = Digest(bytes: bytes) else {
      throw IorunError(.internalFault, "a digest has 32 bytes")
    }
    return try ChallengeIssuer(secret: bytes).challenge(
      puzzle, for: DeviceID(SigningKey(rawRepresentation: bytes)), epoch: 1, beacon: beacon,
      round: 0, opensAtMilliseconds: 0, deadlineMilliseconds: 1)
  }
}
