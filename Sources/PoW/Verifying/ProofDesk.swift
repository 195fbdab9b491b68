internal import IorunCore

/// Takes commitments and proofs in, each place once: the first commitment of a place gets its
/// openings, the first proof its verdict; the same again gets the same answer, anything else is
/// refused. A value, with bounded memory: places of epochs before the last are forgotten.
public struct ProofDesk: Sendable {
  /// Most places that are kept; a verifier of more devices has several desks.
  public static let maximumPlaces = 1 << 20

  private struct Place: Hashable {
    let device: DeviceID
    let epoch: Int64
    let kind: PuzzleKind
    let round: Int

    init(_ challenge: Challenge) {
      (device, epoch) = (challenge.device, challenge.epoch)
      (kind, round) = (challenge.puzzle.kind, challenge.round)
    }
  }

  private struct Entry {
    var challenge: [UInt8]
    var commitment: Digest?
    var committedAt: Int64 = 0
    var verdict: Verdict?
  }

  private let verifier: Verifier
  private var places: [Place: Entry] = [:]

  /// An empty desk.
  public init(_ verifier: Verifier) { self.verifier = verifier }

  /// How many places are kept.
  public var count: Int { places.count }

  /// The openings of a commitment.
  ///
  /// - Throws: a ``Refusal``; `overloaded` where the desk is full.
  public mutating func commit(
    _ commitment: Commitment, from submitter: Verifier.Submitter, epoch: Int64,
    nowMilliseconds now: Int64
  ) throws -> OpeningRequest {
    let request = try verifier.request(
      for: commitment, from: submitter, epoch: epoch, nowMilliseconds: now)
    let digest = AnswerDigest.roots(commitment.roots)
    var entry = try entry(at: commitment.challenge, epoch)
    guard entry.commitment == nil || entry.commitment == digest else { throw Refusal.replayed }
    if entry.commitment == nil {
      entry.commitment = digest
      entry.committedAt = now
    }
    places[Place(commitment.challenge)] = entry
    return request
  }

  /// The verdict on a proof; the same as before for the same proof. What was committed to is timed
  /// by its commitment.
  ///
  /// - Throws: `overloaded` where the desk is full, and for faults of the verifier.
  public mutating func submit(
    _ proof: Proof, from submitter: Verifier.Submitter, epoch: Int64, nowMilliseconds now: Int64
  ) throws -> Verdict {
    let place = Place(proof.challenge)
    let known = places[place]
    let digest = AnswerDigest.of(proof.answer)
    if let verdict = known?.verdict, verdict.answer == digest,
      known?.challenge == proof.challenge.code
    {
      return verdict
    }
    let needsCommitment = proof.challenge.puzzle.rootCount > 0
    // Decided before any of the work is looked at: a flood of other answers to one place costs no
    // more than its seals.
    var outOfPlace: Refusal?
    if known?.verdict != nil || (known.map { $0.challenge != proof.challenge.code } ?? false) {
      outOfPlace = .replayed
    } else if needsCommitment, known?.commitment != digest {
      outOfPlace = .wrongOpening
    }
    let verdict = try verifier.verdict(
      on: proof, from: submitter, epoch: epoch,
      arrivalMilliseconds: needsCommitment ? known?.committedAt ?? now : now,
      outOfPlace: outOfPlace)
    // What is not this verifier's, or not this device's, takes no place: a stranger must not be able
    // to use up somebody's only try.
    guard verdict.refusal?.isByDevice ?? true else { return verdict }
    var entry = try entry(at: proof.challenge, epoch)
    entry.verdict = verdict
    places[place] = entry
    return verdict
  }

  private mutating func entry(at challenge: Challenge, _ epoch: Int64) throws -> Entry {
    if let known = places[Place(challenge)] {
      guard known.challenge == challenge.code else { throw Refusal.replayed }
      return known
    }
    if places.count >= Self.maximumPlaces { forget(before: epoch - 1) }
    guard places.count < Self.maximumPlaces else {
      throw IorunError(
        .overloaded, "this verifier keeps \(Self.maximumPlaces) proofs and has no room for more",
        remedy: "Try again in the next epoch, or add a verifier")
    }
    return Entry(challenge: challenge.code)
  }

  /// Forgets places of epochs before `epoch`; their challenges are refused as `wrongEpoch`.
  public mutating func forget(before epoch: Int64) {
    places = places.filter { $0.key.epoch >= epoch }
  }
}
