/// What a solver found, and what it did for it.
public struct HashSolution: Hashable, Codable, Sendable {
  /// The nonce: with the challenge before it, its hash begins with enough zero bits.
  public var nonce: UInt64
  /// How many hashes all threads tried. The solver's word, for rating; no proof.
  public var hashes: UInt64
  /// Seconds from start to end, on the solver's clock.
  public var seconds: Double

  /// Describes a solution.
  public init(nonce: UInt64, hashes: UInt64, seconds: Double) {
    self.nonce = nonce
    self.hashes = hashes
    self.seconds = seconds
  }
}
