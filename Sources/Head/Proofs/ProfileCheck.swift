internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// Refuses a claim that no machine can have: what is expected of a device follows from it.
enum ProfileCheck {
  /// Hashes, or steps of lanes and walks, that a core does in a second: a slow one without SHA instructions, and
  /// more than any has.
  static let ratesOfCore = 1e4...1e10

  /// Throws `malformed`.
  static func check(_ profile: ProverProfile) throws {
    if let gpu = profile.gpu {
      try check(profile, gpu)
      return
    }
    guard LanePuzzle.allowedCores.contains(profile.cores) else {
      throw IorunError(.malformed, "a prover with \(profile.cores) cores")
    }
    for kind in [PuzzleKind.hash, .lane] {
      let rate = (profile.rates[kind] ?? 0) / Double(profile.cores)
      guard rate.isFinite, ratesOfCore.contains(rate) else {
        throw IorunError(.malformed, "a prover that claims \(rate) \(kind.unit) of a core")
      }
    }
    if let walks = profile.rates[.memory] {
      guard walks.isFinite, ratesOfCore.contains(walks / Double(profile.cores)) else {
        throw IorunError(.malformed, "a prover that claims \(walks) steps/s over its memory")
      }
    }
    guard profile.rates.count <= PuzzleKind.allCases.count else {
      throw IorunError(.malformed, "a prover with \(profile.rates.count) rates")
    }
  }

  /// Steps, or multiplications, that a GPU does in a second: a slow one, and more than any does.
  static let ratesOfGPU = 1e4...1e16

  private static func check(_ profile: ProverProfile, _ gpu: GPUClaim) throws {
    guard MemoryPuzzle.allowedCores.contains(profile.cores) else {
      throw IorunError(.malformed, "a GPU with \(profile.cores) groups of walkers")
    }
    let rates: [Double] = [
      profile.rates[.product] ?? 0, profile.rates[.gpuMemory] ?? 0, gpu.labelRate,
    ]
    for rate in rates {
      guard rate.isFinite, ratesOfGPU.contains(rate) else {
        throw IorunError(.malformed, "a GPU that claims a rate of \(rate)")
      }
    }
    guard profile.rates.count == 2, (1...80).contains(gpu.uuid.utf8.count),
      gpu.model.utf8.count <= 256
    else { throw IorunError(.malformed, "a GPU with other rates or longer names than any has") }
  }

  /// Throws `malformed` where a GPU is no faster than the cores of its node, which could then pose as it: they
  /// are not asked at the same instant.
  static func check(_ gpu: ProverProfile, isFasterThan node: ProverProfile) throws {
    guard let label = gpu.gpu?.labelRate, let cores = node.rates[.lane], label > cores else {
      throw IorunError(
        .malformed, "a GPU that hashes no faster than its node's \(node.cores) cores",
        remedy: "Offer the node without it")
    }
  }
}
