internal import IorunCore
internal import IorunCrypto

/// Checks proofs, cheap checks first. Throws only for faults of its own: whatever a prover hands in
/// gives a verdict.
public struct Verifier: Sendable {
  let issuer: ChallengeIssuer
  let kernels: (chain: Kernel, product: Kernel)
  /// Hears of the work that checking takes, in the unit of each kind: steps of chains, or
  /// multiplications.
  var counted: (@Sendable (UInt64) -> Void)?

  /// A verifier of its own challenges, with the fastest kernels.
  public init(_ issuer: ChallengeIssuer) {
    self.issuer = issuer
    kernels = (.fastestChain, .fastestProduct)
  }

  /// Who handed something in, as the verifier knows it.
  public enum Submitter: Sendable {
    /// Nobody in particular: the seal must be the device's signature.
    case anybody
    /// The device's node, with which no session is kept: its code, if it sent one, says nothing.
    case sessionless
    /// The other end of a session.
    case session(ProofSession)
  }

  /// The pieces to open for a commitment that arrived at `now`.
  ///
  /// - Throws: a ``Refusal`` where it is not acceptable.
  public func request(
    for commitment: Commitment, from submitter: Submitter, epoch: Int64, nowMilliseconds now: Int64
  ) throws -> OpeningRequest {
    let challenge = commitment.challenge
    try checkPlace(challenge, epoch: epoch, now: now)
    guard challenge.puzzle.rootCount > 0, commitment.roots.count == challenge.puzzle.rootCount
    else { throw Refusal.wrongShape }
    let digest = AnswerDigest.roots(commitment.roots)
    try checkSeal(
      commitment.seal, Seal.text("commitment", challenge, digest), challenge, submitter)
    return try OpeningRequest(
      challenge: challenge, nonce: issuer.openingNonce(for: challenge, roots: commitment.roots))
  }

  /// The verdict on a proof.
  ///
  /// - Parameters:
  ///   - proof: what was handed in.
  ///   - submitter: who did.
  ///   - epoch: the present epoch.
  ///   - arrival: when the answer, or the commitment before it, arrived, in milliseconds since 1970
  ///     on the verifier's clock. The prover's clock is never asked.
  ///   - outOfPlace: why the answer cannot count whatever its work is: it is refused for that once
  ///     its seal is checked, and its work is not looked at.
  public func verdict(
    on proof: Proof, from submitter: Submitter, epoch: Int64, arrivalMilliseconds arrival: Int64,
    outOfPlace: Refusal? = nil
  ) throws -> Verdict {
    let challenge = proof.challenge
    let digest = AnswerDigest.of(proof.answer)
    var verdict = Verdict(
      device: challenge.device, epoch: challenge.epoch, round: challenge.round,
      kind: challenge.puzzle.kind, refusal: nil, work: 0,
      seconds: Double(max(1, arrival &- challenge.opensAtMilliseconds)) / 1000, answer: digest)
    do {
      try checkPlace(challenge, epoch: epoch, now: arrival)
      // The seal before all that could count against the device: a stranger's rubbish must not.
      try checkSeal(proof.seal, Seal.text("proof", challenge, digest), challenge, submitter)
      if let outOfPlace { throw outOfPlace }
      try checkShape(proof.answer, challenge.puzzle)
      verdict.work = try work(shownBy: proof.answer, challenge)
    } catch let refusal as Refusal {
      verdict.refusal = refusal
    }
    return verdict
  }

  private func checkPlace(_ challenge: Challenge, epoch: Int64, now: Int64) throws {
    guard try issuer.issued(challenge) else { throw Refusal.challengeNotIssued }
    // The window's last answers may arrive just after the hour.
    guard challenge.epoch == epoch || challenge.epoch == epoch - 1 else {
      throw Refusal.wrongEpoch
    }
    guard now >= challenge.opensAtMilliseconds else { throw Refusal.early }
    guard now <= challenge.deadlineMilliseconds else { throw Refusal.late }
  }

  private func checkSeal(
    _ seal: Seal, _ text: [UInt8], _ challenge: Challenge, _ submitter: Submitter
  ) throws {
    try SealCheck.check(
      seal, text, device: challenge.device, epoch: challenge.epoch, from: submitter)
  }

  private func checkShape(_ answer: Answer, _ puzzle: Puzzle) throws {
    switch (answer, puzzle) {
    case (.sketch(let nonces), .hash):
      guard nonces.count == HashPuzzle.sketchCount else { throw Refusal.wrongShape }
    case (.opened(let roots, let pieces), .lane), (.opened(let roots, let pieces), .memory),
      (.opened(let roots, let pieces), .product), (.opened(let roots, let pieces), .gpuMemory):
      guard roots.count == puzzle.rootCount, pieces.count == puzzle.openings else {
        throw Refusal.wrongShape
      }
    default: throw Refusal.wrongShape
    }
  }

  /// The work that an answer shows. Throws a ``Refusal`` where it shows none.
  func work(shownBy answer: Answer, _ challenge: Challenge) throws -> Double {
    switch (answer, challenge.puzzle) {
    case (.sketch(let nonces), .hash):
      return try Self.hashes(shownBy: nonces, challenge)
    case (.opened(let roots, let pieces), let puzzle):
      let nonce = try issuer.openingNonce(for: challenge, roots: roots)
      let places = OpeningRequest(challenge: challenge, nonce: nonce).places
      for (piece, place) in zip(pieces, places)
      where piece.root != place.root || piece.index != place.index {
        throw Refusal.wrongOpening
      }
      switch puzzle {
      case .lane(let lane):
        try check(lane, challenge, roots: roots, pieces)
        return Double(lane.lanes) * Double(lane.steps)
      case .memory(let memory), .gpuMemory(let memory):
        try check(memory, challenge, roots: roots, pieces)
        return Double(memory.steps)
      case .product(let product):
        try check(product, challenge, roots: roots, pieces)
        return Double(product.multiplications)
      case .hash: throw Refusal.wrongShape
      }
    case (.sketch, _): throw Refusal.wrongShape
    }
  }

  /// Digests that a sketch shows were tried.
  static func hashes(shownBy nonces: [UInt64], _ challenge: Challenge) throws -> Double {
    let values = HashSearch(prefix: challenge.hashPrefix, epoch: challenge.epoch).values(of: nonces)
    // Ascending, so different.
    for (before, after) in zip(values, values.dropFirst()) where before >= after {
      throw Refusal.unordered
    }
    return BottomK.estimate(count: values.count, largest: values.last ?? .max)
  }
}
