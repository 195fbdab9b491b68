internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// Refuses a claim that no machine can have: what is expected of a device follows from it.
enum ProfileCheck {
  /// Hashes, or steps of lanes, that a core does in a second: a slow one without SHA instructions, and
  /// more than any has.
  static let ratesOfCore = 1e4...1e10

  /// Throws `malformed`.
  static func check(_ profile: ProverProfile) throws {
    guard LanePuzzle.allowedCores.contains(profile.cores) else {
      throw IorunError(.malformed, "a prover with \(profile.cores) cores")
    }
    for kind in [PuzzleKind.hash, .lane] {
      let rate = (profile.rates[kind] ?? 0) / Double(profile.cores)
      guard rate.isFinite, ratesOfCore.contains(rate) else {
        throw IorunError(.malformed, "a prover that claims \(rate) \(kind.unit) of a core")
      }
    }
    guard profile.rates.count <= PuzzleKind.allCases.count else {
      throw IorunError(.malformed, "a prover with \(profile.rates.count) rates")
    }
  }
}
