import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Testing

@testable import IorunHead

/// Sessions as the head keeps them: a code counts for the device that shares the key, as long as the
/// head knows it, and nothing that goes wrong with one marks anybody.
@Suite("Sessions of nodes with the head")
struct ProofSessionTests {
  /// A device whose prover is silent, with a round of lanes out: the test answers for it.
  private func withOpenRound(
    nodes: Int = 1, _ body: (Rig, Challenge) async throws -> Void
  ) async throws {
    let cpus = Array(repeating: 1, count: nodes)
    try await withRig(cpus: cpus, options: .proofs(.record)) { rig in
      for prover in rig.provers.values { await prover.set(isSilent: true) }
      try await body(rig, rig.openChallenge())
    }
  }

  private func offer(
    _ rig: Rig, _ challenge: Challenge, key: SigningKey? = nil, to verifier: PeerID? = nil,
    epoch: Int64? = nil
  ) throws -> ProofSession.Offer {
    try ProofSession.Offer(
      to: verifier ?? rig.head, epoch: epoch ?? challenge.epoch, beacon: challenge.beacon,
      key: key ?? rig.prover().key)
  }

  private func session(_ rig: Rig, _ challenge: Challenge) async throws -> ProofSession {
    let offer = try offer(rig, challenge)
    return try offer.session(
      with: await rig.proofs.openSession(offer.hello, caller: rig.nodes[0].id))
  }

  /// The device's work, with both seals by `session`.
  private func proof(
    _ rig: Rig, _ challenge: Challenge, by session: ProofSession
  ) async throws -> Proof {
    let signed = try await rig.prover().proof(challenge) {
      let sealed = try Commitment($0.challenge, roots: $0.roots, signedBy: .session(session))
      return try await rig.proofs.commit(sealed, caller: rig.nodes[0].id)
    }
    return try Proof(challenge, signed.answer, signedBy: .session(session))
  }

  /// The same, signed.
  private func signed(_ rig: Rig, _ challenge: Challenge) async throws -> Proof {
    try await rig.prover().proof(challenge) {
      try await rig.proofs.commit($0, caller: rig.nodes[0].id)
    }
  }

  @Test("a round sealed by a session is judged and recorded as a signed one, and counts once")
  func round() async throws {
    try await withOpenRound { rig, challenge in
      let session = try await session(rig, challenge)
      let proof = try await proof(rig, challenge, by: session)
      let first = try await rig.proofs.submit(proof, caller: rig.nodes[0].id)
      #expect(first.isAccepted)
      #expect(try await rig.proofs.submit(proof, caller: rig.nodes[0].id) == first)
      #expect(try await rig.history().verdicts.map(\.verdict) == [first])
    }
  }

  @Test("forged code: what another key sealed counts nothing, for or against the device")
  func forged() async throws {
    try await withOpenRound { rig, challenge in
      let node = rig.nodes[0].id
      let proof = try await proof(rig, challenge, by: session(rig, challenge))
      // A later session of the device's own is in force: the code of the one before is any key's.
      let later = try await session(rig, challenge)
      #expect(try await rig.proofs.submit(proof, caller: node).refusal == .notSealed)
      #expect(try await rig.history().verdicts.isEmpty)
      #expect(try await rig.reasons().isEmpty)
      let own = try Proof(challenge, proof.answer, signedBy: .session(later))
      #expect(try await rig.proofs.submit(own, caller: node).isAccepted)
    }
  }

  @Test("stolen session: a node begins none for another's device, verifier or hour, or unsigned")
  func stolen() async throws {
    try await withOpenRound(nodes: 2) { rig, challenge in
      let node = rig.nodes[0].id
      let hello = try offer(rig, challenge).hello
      await expect(throwsCode: .proofRefused) {
        _ = try await rig.proofs.openSession(hello, caller: rig.nodes[1].id)
      }
      let theirs = try offer(rig, challenge, key: rig.prover(1).key).hello
      await expect(throwsCode: .proofRefused) {
        _ = try await rig.proofs.openSession(theirs, caller: node)
      }
      let elsewhere = try offer(rig, challenge, to: PeerID(high: 5, low: 5)).hello
      await expect(throwsCode: .notAllowed) {
        _ = try await rig.proofs.openSession(elsewhere, caller: node)
      }
      // The hour before is still answered for, but its beacon was another.
      let before = try offer(rig, challenge, epoch: challenge.epoch - 1).hello
      await expect(throwsCode: .notAllowed) {
        _ = try await rig.proofs.openSession(before, caller: node)
      }
      for epoch in [challenge.epoch - 2, challenge.epoch + 1] {
        let hello = try offer(rig, challenge, epoch: epoch).hello
        await expect(throwsCode: .proofRefused) {
          _ = try await rig.proofs.openSession(hello, caller: node)
        }
      }
      _ = try await rig.proofs.openSession(hello, caller: node)
      #expect(try await rig.reasons().isEmpty)
    }
  }

  @Test("lost session: a head that was killed knows none, marks nobody, and takes signatures")
  func restarted() async throws {
    try await withOpenRound { rig, challenge in
      let node = rig.nodes[0].id
      let session = try await session(rig, challenge)
      #expect(
        try await rig.proofs.submit(
          proof(rig, challenge, by: session), caller: node
        ).isAccepted)
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      let before = try await rig.reasons()
      #expect(before == ["verifier_failed"])
      // The run is anew; the device has not heard that its session is gone.
      let next = try await rig.openChallenge()
      #expect(next != challenge && session.serves(next))
      await expect(throwsCode: .proofRefused) {
        _ = try await proof(rig, next, by: session)
      }
      let signed = try await signed(rig, next)
      let sealed = try Proof(next, signed.answer, signedBy: .session(session))
      #expect(try await rig.proofs.submit(sealed, caller: node).refusal == .sessionUnknown)
      #expect(try await rig.reasons() == before)
      #expect(try await rig.proofs.submit(signed, caller: node).isAccepted)
      #expect(try await rig.reasons() == before)
      // And it begins another.
      let third = try await rig.openChallenge()
      #expect(
        try await rig.proofs.submit(
          proof(rig, third, by: self.session(rig, third)), caller: node
        ).isAccepted)
    }
  }

  @Test("old session: the next hour's answers are not sealed by it, and are taken signed")
  func expired() async throws {
    try await withOpenRound { rig, challenge in
      let node = rig.nodes[0].id
      let session = try await session(rig, challenge)
      #expect(
        try await rig.proofs.submit(
          proof(rig, challenge, by: session), caller: node
        ).isAccepted)
      try await rig.nextEpoch()
      let next = try await rig.openChallenge()
      #expect(next.epoch > session.epoch)
      let signed = try await signed(rig, next)
      let sealed = try Proof(next, signed.answer, signedBy: .session(session))
      #expect(try await rig.proofs.submit(sealed, caller: node).refusal == .sessionUnknown)
      #expect(try await rig.proofs.submit(signed, caller: node).isAccepted)
    }
  }

  @Test(
    "replay across sessions: a hello that is sent again takes the device's session away, no more")
  func replayed() async throws {
    try await withOpenRound { rig, challenge in
      let node = rig.nodes[0].id
      let offer = try offer(rig, challenge)
      let first = try await rig.proofs.openSession(offer.hello, caller: node)
      let session = try offer.session(with: first)
      let proof = try await proof(rig, challenge, by: session)
      #expect(try await rig.proofs.openSession(offer.hello, caller: node) != first)
      #expect(try await rig.proofs.submit(proof, caller: node).refusal == .notSealed)
      let signed = try Proof(challenge, proof.answer, signedBy: .device(rig.prover().key))
      #expect(try await rig.proofs.submit(signed, caller: node).isAccepted)
    }
  }

  @Test("a flood of hellos is refused before a signature is checked, and marks nobody")
  func flood() async throws {
    try await withOpenRound { rig, challenge in
      let hello = try offer(rig, challenge).hello
      var (opened, overloaded) = (0, 0)
      for _ in 0..<200 {
        do {
          _ = try await rig.proofs.openSession(hello, caller: rig.nodes[0].id)
          opened += 1
        } catch let error as IorunError where error.code == .overloaded {
          overloaded += 1
        }
      }
      #expect(opened <= 60 && overloaded >= 140)
      #expect(try await rig.reasons().isEmpty)
    }
  }

  @Test("over HTTP, and for the check of a candidate, a session's code is no seal")
  func http() async throws {
    try await withOpenRound { rig, challenge in
      let node = rig.nodes[0].id
      let proof = try await proof(rig, challenge, by: session(rig, challenge))
      #expect(try await rig.director.check(proof).refusal == .notSealed)
      let interface = ProofInterface(director: rig.director, token: "a-token")
      let answer = await interface.answer(
        HTTPRequest(
          method: "POST", path: "/v1/pow/results",
          headers: ["authorization": "Bearer a-token"],
          body: Array(try ProofDocument.encode(proof))))
      let text = String(decoding: answer.body, as: UTF8.self)
      #expect(
        text.contains("\"not_sealed\"") && text.contains("\"is_accepted\" : false"), "\(text)")
      // From its node it counts.
      #expect(try await rig.proofs.submit(proof, caller: node).isAccepted)
    }
  }

  @Test("a desk keeps so many sessions, and drops the one that was used longest ago")
  func bounded() async throws {
    let issuer = try ChallengeIssuer(secret: Array(repeating: 3, count: 32))
    let desks = ProofDesks(issuer, count: 1, sessions: 2)
    let (head, beacon) = (PeerID(high: 1, low: 1), SHA256.digest(of: [1]))
    /// A commitment of a new device, sealed by a session of its own.
    func newcomer() async throws -> Commitment {
      let key = try SigningKey()
      let offer = try ProofSession.Offer(to: head, epoch: 9, beacon: beacon, key: key)
      let session = try offer.session(
        with: await desks.open(offer.hello, by: head, beacon: beacon))
      let challenge = try issuer.challenge(
        .lane(LanePuzzle(cores: 1, depth: 1, nodeSteps: 1)), for: DeviceID(key), epoch: 9,
        beacon: beacon, round: 0, opensAtMilliseconds: 0, deadlineMilliseconds: 1000)
      let roots = Array(repeating: beacon, count: challenge.puzzle.rootCount)
      return try Commitment(challenge, roots: roots, signedBy: .session(session))
    }
    func refusal(_ commitment: Commitment) async throws -> Refusal? {
      do {
        _ = try await desks.commit(commitment, sealed: .session, epoch: 9, nowMilliseconds: 1)
        return nil
      } catch let refusal as Refusal {
        return refusal
      }
    }
    let (first, second) = (try await newcomer(), try await newcomer())
    #expect(try await refusal(second) == nil)
    #expect(try await refusal(first) == nil)
    let third = try await newcomer()
    #expect(try await refusal(second) == .sessionUnknown)
    #expect(try await refusal(first) == nil)
    #expect(try await refusal(third) == nil)
    desks.forget(before: 10)
    #expect(try await refusal(first) == .sessionUnknown)
  }
}
