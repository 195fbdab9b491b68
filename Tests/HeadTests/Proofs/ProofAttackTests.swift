import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Testing

@testable import IorunHead

/// Attacks on the service: what its callers can do with whole documents. Those on the documents
/// themselves are in `AttackTests` of the suite.
@Suite("Attacks on the verifier")
struct ProofAttackTests {
  /// A device whose prover is silent, with a round out: the test answers for it.
  private func withOpenRound(
    _ body: (Rig, Challenge) async throws -> Void
  ) async throws {
    try await withRig(cpus: [1, 1], options: .proofs(.record)) { rig in
      for prover in rig.provers.values { await prover.set(isSilent: true) }
      try await body(rig, rig.openChallenge())
    }
  }

  private func proof(_ rig: Rig, _ challenge: Challenge) async throws -> Proof {
    try await rig.prover().proof(challenge) {
      try await rig.proofs.commit($0, caller: rig.nodes[0].id)
    }
  }

  @Test("replay of a result: the same answer gets the same verdict and counts once, another none")
  func replay() async throws {
    try await withOpenRound { rig, challenge in
      let proof = try await proof(rig, challenge)
      let node = rig.nodes[0].id
      let first = try await rig.proofs.submit(proof, caller: node)
      #expect(first.isAccepted)
      for _ in 0..<3 { #expect(try await rig.proofs.submit(proof, caller: node) == first) }
      #expect(try await rig.history().verdicts.count == 1)
      #expect(await rig.director.devices[rig.device()]?.state.rating.rounds == 1)
      // After a restart as well.
      await rig.kill()
      try await rig.open()
      #expect(try await rig.proofs.submit(proof, caller: node) == first)
      let other = try Proof(
        challenge, .opened(roots: [], pieces: []), signedBy: .device(rig.prover().key))
      #expect(try await rig.proofs.submit(other, caller: node).refusal == .replayed)
      #expect(try await rig.history().verdicts.count == 1)
    }
  }

  @Test(
    "wrong device key: another node's answer, and an answer that another key sealed, count nothing")
  func wrongDevice() async throws {
    try await withOpenRound { rig, challenge in
      let proof = try await proof(rig, challenge)
      await expect(throwsCode: .proofRefused) {
        _ = try await rig.proofs.submit(proof, caller: rig.nodes[1].id)
      }
      let stolen = try Proof(challenge, proof.answer, signedBy: .device(rig.prover(1).key))
      let verdict = try await rig.proofs.submit(stolen, caller: rig.nodes[0].id)
      #expect(verdict.refusal == .notSealed)
      // The device's own answer still counts.
      #expect(try await rig.proofs.submit(proof, caller: rig.nodes[0].id).isAccepted)
      #expect(try await rig.reasons().isEmpty)
    }
  }

  @Test("late answer: the round is closed by the head's clock, and the mark says unanswered")
  func late() async throws {
    try await withOpenRound { rig, challenge in
      let proof = try await proof(rig, challenge)
      try await rig.pass(.seconds(400))
      await rig.director.tick()
      #expect(try await rig.proofs.submit(proof, caller: rig.nodes[0].id).refusal == .late)
      #expect(try await rig.reasons() == ["rerun:unanswered"])
      try await rig.drive("it did not fail", step: .seconds(10)) {
        try await rig.mark().status == .failed
      }
      #expect(try await rig.reasons() == ["rerun:unanswered", "unanswered"])
    }
  }

  @Test("tampered difficulty: a challenge with another size is not this verifier's")
  func tampered() async throws {
    try await withOpenRound { rig, challenge in
      let easy = try Challenge(
        id: challenge.id, device: challenge.device, epoch: challenge.epoch,
        beacon: challenge.beacon, round: challenge.round,
        opensAtMilliseconds: challenge.opensAtMilliseconds,
        deadlineMilliseconds: challenge.deadlineMilliseconds + 1_000_000,
        puzzle: .lane(LanePuzzle(cores: 1, depth: 1, nodeSteps: 1)), code: challenge.code)
      await expect(throwsCode: .proofRefused) {
        let solved = try await rig.prover().proof(easy) {
          try await rig.proofs.commit($0, caller: rig.nodes[0].id)
        }
        _ = try await rig.proofs.submit(solved, caller: rig.nodes[0].id)
      }
      let guess = try Proof(
        easy, .opened(roots: [], pieces: []), signedBy: .device(rig.prover().key))
      #expect(
        try await rig.proofs.submit(guess, caller: rig.nodes[0].id).refusal
          == .challengeNotIssued)
      #expect(try await rig.reasons().isEmpty)
      #expect(
        try await rig.proofs.submit(
          proof(rig, challenge), caller: rig.nodes[0].id
        ).isAccepted)
    }
  }

  @Test("guessed answers: rubbish that the device sealed itself is held against it")
  func rubbish() async throws {
    try await withOpenRound { rig, _ in
      // A lane puzzle's, of which nothing was committed to; the run after it begins with lanes, too.
      for _ in 0..<2 {
        let open = try await rig.openChallenge()
        let rubbish = try Proof(
          open, .opened(roots: [], pieces: []), signedBy: .device(rig.prover().key))
        let verdict = try await rig.proofs.submit(rubbish, caller: rig.nodes[0].id)
        #expect(verdict.refusal == .wrongOpening)
      }
      #expect(try await rig.mark().status == .failed)
      #expect(
        try await rig.reasons() == ["rerun:refused:wrong_opening", "refused:wrong_opening"])
    }
  }

  @Test("a flood of false answers is refused before it is checked, and marks nobody else")
  func flood() async throws {
    try await withOpenRound { rig, challenge in
      let stray = try FakeProver.strayProof()
      let forged = try Proof(
        challenge, .opened(roots: [], pieces: []), signedBy: .device(SigningKey()))
      var (refused, overloaded) = (0, 0)
      for _ in 0..<500 {
        await expect(throwsCode: .proofRefused) {
          _ = try await rig.proofs.submit(stray, caller: rig.nodes[1].id)
        }
        do {
          let verdict = try await rig.proofs.submit(forged, caller: rig.nodes[0].id)
          #expect(verdict.refusal == .notSealed)
          refused += 1
        } catch let error as IorunError where error.code == .overloaded {
          overloaded += 1
        }
      }
      #expect(refused <= 60 && overloaded >= 440)
      #expect(try await rig.reasons().isEmpty)
      #expect(try await rig.history(1).verdicts.isEmpty)
    }
  }

  @Test("verifier killed in the middle: nobody is marked failed, and the device is run anew")
  func killed() async throws {
    try await withOpenRound { rig, _ in
      await rig.kill()
      try await rig.open()
      try await rig.registerAll()
      #expect(try await rig.reasons() == ["verifier_failed"])
      #expect(try await rig.mark().status == .pending)
      // One alone: two would each move the clock that the other is measured by.
      await rig.prover().set(isSilent: false)
      try await rig.drive("it was not verified after the restart") {
        try await rig.mark().status == .verified
      }
      #expect(try await rig.reasons().last == "rates")
    }
  }

  @Test(
    "prover killed in the middle: an interrupted run, not a failed one, and run again when back",
    arguments: [true, false])
  func proverKilled(comesBackAtOnce: Bool) async throws {
    try await withOpenRound { rig, _ in
      if comesBackAtOnce {
        try await rig.pass(.seconds(1))
        _ = try await rig.nodes[0].register(with: rig.services.nodes)
        await rig.director.tick()
      } else {
        await rig.nodes[0].set(unreachable: true)
        try await eventually("the head does not see that it is gone") {
          try await rig.pass(.seconds(1))
          await rig.services.tick()
          return try await !rig.reasons().isEmpty
        }
      }
      #expect(try await rig.reasons() == ["interrupted"])
      #expect(try await rig.mark().status == .pending)
      await rig.nodes[0].set(unreachable: false)
      _ = try await rig.nodes[0].register(with: rig.services.nodes)
      await rig.prover().set(isSilent: false)
      try await rig.drive("it was not verified when it was back", step: .seconds(10)) {
        try await rig.mark().status == .verified
      }
    }
  }

  @Test("several identities, one machine: who kept still is tried again beside the other")
  func keptStill() async throws {
    try await withRig(cpus: [1, 1], options: .proofs(.record)) { rig in
      await rig.prover(1).set(isSilent: true)
      try await rig.drive("it was not tried again", step: .seconds(20)) {
        // The head asks who it is first.
        guard await rig.director.devices[rig.device(1)] != nil else { return false }
        return try await rig.reasons(1) == ["rerun:unanswered"]
      }
      let second = try #require(await rig.prover(1).started.last?.challenge)
      try await eventually("the other is not run beside it") {
        await rig.prover().started.contains {
          $0.challenge.opensAtMilliseconds == second.opensAtMilliseconds
        }
      }
    }
  }

  @Test("a verifier that cannot write shows no mark that is not on disk")
  func disk() async throws {
    try await withRig(cpus: [1], options: .proofs(.record)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      try await rig.services.store.close()
      await rig.director.apply(.windowBegan(epoch: await rig.director.epoch + 9), to: rig.device())
      await rig.director.flushLater()
      // Its state has expired in memory; the mark that is shown is the one on disk.
      #expect(await rig.director.devices[rig.device()]?.record.mark.status == .pending)
      #expect(try await rig.mark().status == .verified)
    }
  }

  @Test("lying clock: the time of a round is the head's, whatever the prover's says")
  func lyingClock() async throws {
    try await withOpenRound { rig, challenge in
      let proof = try await proof(rig, challenge)
      let before = rig.clock.now()
      let verdict = try await rig.proofs.submit(proof, caller: rig.nodes[0].id)
      let opened = Double(challenge.opensAtMilliseconds) / 1000
      #expect(abs(verdict.seconds - (before - opened)) < 0.01)
      // No document that a prover hands in has a time of its own to lie with.
      let text = String(decoding: try ProofDocument.encode(proof), as: UTF8.self)
      let times = text.matches(of: /"(\w*milliseconds\w*|\w*seconds\w*|\w*time\w*)"/).map {
        String($0.1)
      }
      #expect(Set(times) == ["opens_at_milliseconds", "deadline_milliseconds"])
    }
  }
}
