public import Foundation
public import IorunCore
public import IorunPoW

// Proof of work: the head is the verifier, each node a prover. `caller` is the peer that CURVE and ZAP
// proved.

/// Challenges and results. Served by the head.
public protocol ProofService: Sendable {
  /// The challenge that is open for the caller's device; `nil` where none is.
  func challenge(caller: PeerID) async throws -> Challenge?
  /// Begins a session in which the caller's device seals by codes, and returns the verifier's half of
  /// its key. It lasts for its epoch, or until the head forgets it: then answers are refused with
  /// `session_unknown`, which counts against nobody. Throws `proofRefused`, `notAllowed`, `overloaded`.
  func openSession(_ hello: ProofSession.Hello, caller: PeerID) async throws -> Digest
  /// The pieces to open for a commitment. The first one of a challenge counts; the same again gets the
  /// same answer. Throws `proofRefused`, `overloaded`.
  func commit(_ commitment: Commitment, caller: PeerID) async throws -> OpeningRequest
  /// The verdict on a proof, on record once this returns; the same proof gets the same verdict. Throws
  /// `proofRefused` where it is not the caller's to hand in, `overloaded`.
  func submit(_ proof: Proof, caller: PeerID) async throws -> Verdict
  /// The work on a challenge was given up for a job.
  func gaveWay(_ challenge: [UInt8], caller: PeerID) async throws
  /// Proofs at a glance. A supplier sees its own devices.
  func status(caller: PeerID) async throws -> ProofStatus
  /// What is on record of a device, at most `limit` (1 to 1,000) entries of each kind. `reference` is
  /// its node's name or id, or the start of the device's key. Throws `notFound`.
  func history(_ reference: String, limit: Int, caller: PeerID) async throws -> DeviceHistory
}

/// Looks for solutions: the checker of issue 6. Served by the node to its head, for itself and for its GPUs: whose
/// an order is, its device says.
public protocol ProverService: Sendable {
  /// What the node claims, measured when it is first asked. Throws `overloaded` while jobs have the
  /// machine, `kernelBroken` where it computes wrongly.
  func profile(caller: PeerID) async throws -> ProverProfile
  /// What its GPUs claim, each a device of its own, measured when it is first asked; those that cannot prove
  /// anything are left out. Throws `overloaded` while jobs have the machine.
  func gpus(caller: PeerID) async throws -> [ProverProfile]
  /// Fills memory with the labels that are walked over next, and keeps them, and the machine, for the
  /// walks: `ready` once they are there, `busy` where jobs have the machine or took it meanwhile. May
  /// take minutes. Throws `malformed` for another device's, `noMemoryForProof`.
  func prepare(_ table: TableOrder, caller: PeerID) async throws -> ProofStart
  /// The device's word for a fresh number. Throws `malformed` for another device's.
  func echo(_ request: EchoProbe.Request, caller: PeerID) async throws -> EchoProbe.Reply
  /// What the node measures of the disk of its folder: a word of its own, no proof. Throws `diskFull`,
  /// `overloaded` while it measures already.
  func disk(caller: PeerID) async throws -> DiskProbe.Result
  /// Takes a part of a download in, of the newest offer alone. Throws `malformed` for another device's
  /// and for a part that does not follow.
  func take(_ part: Data, number: Int, of offer: StreamProbe.Offer, caller: PeerID) async throws
  /// The device's word for a download, once all its parts have come. Throws `malformed` where they have
  /// not.
  func receipt(of offer: StreamProbe.Offer, key: Digest, caller: PeerID) async throws -> Seal
  /// A part of an upload, made from the offer. Throws `malformed` for another device's.
  func part(_ number: Int, of offer: StreamProbe.Offer, caller: PeerID) async throws
    -> StreamProbe.Part
  /// Begins to solve; what was under way is given up, the same challenge goes on. The answer goes to
  /// the head. `besideJobs`: a small one on one core, whatever the machine is busy with. Throws
  /// `malformed` for another device's, `noMemoryForProof`.
  func start(_ challenge: Challenge, besideJobs: Bool, caller: PeerID) async throws -> ProofStart
  /// How far it is; `nil` where nothing was started yet.
  func progress(caller: PeerID) async throws -> ProofProgress?
  /// Holds the work on a challenge, or lets it go on. Throws `notFound` where it is not under way.
  func hold(_ challenge: [UInt8], isHeld: Bool, caller: PeerID) async throws
  /// Gives the work on a challenge up. Nothing where it is not under way.
  func cancel(_ challenge: [UInt8], caller: PeerID) async throws
}

extension ProverService {
  /// A node without GPUs.
  public func gpus(caller: PeerID) async throws -> [ProverProfile] { [] }
}
