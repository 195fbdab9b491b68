public import IorunCore
internal import IorunCrypto

/// Checks solutions, with one hash each, whatever the difficulty.
public enum HashVerifier {
  /// What a check found.
  public enum Verdict: Hashable, Codable, Sendable {
    /// The peer did the work in time.
    case accepted
    /// It did not, or not for this challenge.
    case refused(Reason)
  }

  /// Why a solution is refused.
  public enum Reason: String, Hashable, Codable, Sendable {
    /// Another peer than the challenged one handed it in.
    case wrongPeer
    /// It is for another epoch than the present one.
    case wrongEpoch
    /// It came after the deadline.
    case late
    /// The challenge is easier than what was asked for.
    case tooEasy
    /// The hash of challenge and nonce has too few zero bits.
    case wrongNonce
  }

  /// Checks a solution.
  ///
  /// - Parameters:
  ///   - solution: what was handed in; only the nonce is believed, and only after the check.
  ///   - challenge: the challenge as the verifier made and kept it, never as it came back.
  ///   - peer: who handed it in, as the mesh proved it.
  ///   - epoch: the verifier's present epoch.
  ///   - minimum: the least difficulty that counts now.
  ///   - now: when it arrived, in seconds since 1970 (UTC) on the verifier's clock.
  public static func verify(
    _ solution: HashSolution, of challenge: HashChallenge, from peer: PeerID, epoch: Int64,
    minimum: HashDifficulty, now: Double
  ) -> Verdict {
    // Hashed first and always: how long the check takes says nothing about what it found.
    let digest = SHA256.digest(of: challenge.prefix + HashChallenge.bigEndian(solution.nonce))
    let head = digest.bytes.prefix(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
    if challenge.peer != peer { return .refused(.wrongPeer) }
    if challenge.epoch != epoch { return .refused(.wrongEpoch) }
    if !(now <= challenge.deadline) { return .refused(.late) }
    if challenge.difficulty < minimum { return .refused(.tooEasy) }
    guard challenge.difficulty.isMet(by: head) else { return .refused(.wrongNonce) }
    return .accepted
  }
}
