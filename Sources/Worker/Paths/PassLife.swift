internal import IorunPath

/// When the passes of a gang's relays are asked for anew: at half of their life, so that a head that is
/// away just then can be asked many times before they end. A value; times are seconds since 1970 (UTC).
struct PassLife: Sendable {
  private var renewAt: UInt64?

  /// Passes were given.
  mutating func given(_ ends: [UInt64], at now: UInt64) {
    renewAt = ends.min().map { $0 > now ? now + ($0 - now) / 2 : now }
  }

  /// Whether it is time. False where none was given: who lacks a relay asks for one anyhow.
  func isDue(at now: UInt64) -> Bool { renewAt.map { now >= $0 } ?? false }
}
