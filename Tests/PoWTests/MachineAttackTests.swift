import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// Attacks by machines that are less, or other, than they say, each answered by rates: what the work
/// takes is told by the test, not measured. Names as in the table of docs/POW.md.
@Suite("Attacks by machines")
struct MachineAttackTests {
  private let world: PoWWorld

  init() throws { world = try PoWWorld() }

  /// A device's rating after rounds of a product that each took so long.
  private func rating(
    of key: SigningKey, seconds: Double, chipRate: Double
  ) async throws -> RateTest {
    var test = RateTest()
    for round in 0..<4 where test.decision == .undecided {
      let puzzle = try PoWWorld.puzzle(.product)
      let challenge = try world.issuer.challenge(
        puzzle, for: DeviceID(key), epoch: PoWWorld.epoch, beacon: world.beacon, round: round,
        opensAtMilliseconds: PoWWorld.opens, deadlineMilliseconds: PoWWorld.opens + 60_000)
      guard case .committed(let work) = try await Solver(challenge, threads: 2).solve() else {
        continue
      }
      let arrival = PoWWorld.opens + Int64(seconds * 1000)
      let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(key))
      let request = try world.verifier.request(
        for: commitment, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: arrival)
      let verdict = try world.verdict(
        Proof(challenge, work.answer(to: request), signedBy: .device(key)), arrival: arrival)
      #expect(verdict.isAccepted)
      test.add(measured: verdict.rate, expected: chipRate)
    }
    return test
  }

  @Test("shared GPU: of two identities on one chip, asked at one instant, at most one is verified")
  func sharedGPU() async throws {
    guard case .product(let puzzle) = try PoWWorld.puzzle(.product) else { return }
    // A chip that does a round in a second.
    let chipRate = Double(puzzle.multiplications)
    let keys = [try SigningKey(), try SigningKey()]
    // Side by side each gets half of it; in turn the second waits for the first.
    for times in [[2.0, 2.0], [1.0, 2.0]] {
      var verified = 0
      for (key, seconds) in zip(keys, times) {
        let test = try await rating(of: key, seconds: seconds, chipRate: chipRate)
        #expect(test.decision == (seconds == 1 ? .verified : .failed))
        verified += test.decision == .verified ? 1 : 0
      }
      #expect(verified <= 1)
    }
  }

  @Test("half the cores with two chains: three lanes a core leave nothing to interleave")
  func halfTheCores() {
    // Nanoseconds for a step of all lanes of a core, by how many it interleaves: measured on Zen 3.
    let step = [1: 41.5, 2: 42.0, 3: 54.0, 4: 79.0]
    func fastest(lanes: Int) -> Double {
      // The best way to do so many lanes on one core, some of them after the others.
      guard lanes > 0 else { return 0 }
      return step.map { width, time in
        time + (width <= lanes ? fastest(lanes: lanes - width) : .infinity)
      }.min() ?? .infinity
    }
    // With one chain a core, half the cores would do: two chains cost what one costs.
    #expect(fastest(lanes: 2) < 1.05 * fastest(lanes: 1))
    let ratio =
      fastest(lanes: LanePuzzle.lanesPerCore) / fastest(lanes: 2 * LanePuzzle.lanesPerCore)
    #expect(ratio <= 0.56)
    var test = RateTest()
    for _ in 0..<4 { test.add(measured: ratio, expected: 1) }
    #expect(test.decision == .failed)
  }

  @Test("swapped or remote memory: no disk, and no other machine, is near enough")
  func remote() throws {
    let local = 48 / 79e-9 / 48
    let plan = try #require(
      MemoryPlan(
        memory: 1 << 34, cores: 1, laneRate: 55e6, walkRate: local, fillSeconds: 60, walkSeconds: 1)
    )
    // A core's 48 walkers wait for a read each: of an NVMe disk, of another machine by TCP, and of a
    // disk for a fifth of the memory. Memory by RDMA is nearer, and what the docs say is left.
    for (latency, part) in [(80e-6, 1.0), (30e-6, 1), (80e-6, 0.2)] {
      let walkers = Double(MemoryPuzzle.walkersPerCore)
      let step = max(1 / local, part * latency / walkers)
      var test = RateTest(rule: .of(.memory))
      for _ in 0..<4 { test.add(measured: 1 / step, expected: plan.expectedRate) }
      #expect(test.decision == .failed, "\(latency) s, \(part) of it")
    }
  }

  @Test("better kernel or overclock: verified for the claim, and marked as another model")
  func betterKernel() {
    var state = DeviceState(world.device, kinds: [.hash])
    var actions = state.handle(.windowBegan(epoch: 10))
    for round in 0..<3 {
      let verdict = Verdict(
        device: world.device, epoch: 10, round: round, kind: .hash, refusal: nil, work: 1.3,
        seconds: 1, answer: world.beacon)
      actions += state.handle(.judged(verdict, expectedRate: 1))
    }
    let reasons = actions.compactMap { action in
      if case .record(let transition) = action { transition.reason.name } else { nil }
    }
    #expect(reasons == ["mismatch"])
    #expect(state.status == .verified(untilEpoch: 11))
  }

  @Test("throttling outside the window: nobody knows when it begins, and no run replaces it")
  func window() throws {
    let schedule = EpochSchedule(secret: [UInt8](repeating: 5, count: 32))
    let offsets = try (0..<Int64(2000)).map { try schedule.windowStart(of: $0) - $0 * 3600 }
    // No part of the hour but the end, which the window itself needs, is free of it.
    let latest = EpochSchedule.epochSeconds - EpochSchedule.windowSeconds
    for minute in 0..<latest / 60 {
      #expect(offsets.contains { $0 / 60 == minute }, "minute \(minute)")
    }
    // Who was run before the window is run in it again.
    var state = DeviceState(world.device, kinds: [.hash])
    _ = state.handle(.runCalled(epoch: 10))
    for round in 0..<3 {
      let verdict = Verdict(
        device: world.device, epoch: 10, round: round, kind: .hash, refusal: nil, work: 1,
        seconds: 1, answer: world.beacon)
      _ = state.handle(.judged(verdict, expectedRate: 1))
    }
    #expect(state.status == .verified(untilEpoch: 11))
    let again = state.handle(.runCalled(epoch: 10))
    #expect(!again.isEmpty)
  }

  @Test("patched solver: other code with right answers is as good, with wrong ones it is not")
  func patched() async throws {
    for kind in PuzzleKind.allCases where kind != .hash {
      let challenge = try world.challenge(PoWWorld.puzzle(kind))
      // The portable path is another program.
      let other = try await world.solve(challenge, kernel: .swift)
      #expect(try world.verdict(other.proof).isAccepted)
      // One that leaves out the last step of its work: another puzzle's answer.
      let shorter: Puzzle
      switch kind {
      case .hash: continue  // Other programs' searches: `a sketch of every kernel is accepted`.
      case .lane: shorter = try .lane(LanePuzzle(cores: 2, depth: 5, nodeSteps: 3, openings: 8))
      case .memory, .gpuMemory:
        let puzzle = try MemoryPuzzle(
          labels: 2000, labelSteps: 2, cores: 2, segments: 5, segmentSteps: 4, openings: 8)
        shorter = kind == .memory ? .memory(puzzle) : .gpuMemory(puzzle)
      case .product: shorter = try .product(ProductPuzzle(size: 128, layers: 3, openings: 8))
      }
      let lazy = try Solver(
        Challenge(
          id: challenge.id, device: challenge.device, epoch: challenge.epoch,
          beacon: challenge.beacon, round: 0, opensAtMilliseconds: challenge.opensAtMilliseconds,
          deadlineMilliseconds: challenge.deadlineMilliseconds, puzzle: shorter,
          code: challenge.code), threads: 1)
      guard case .committed(let work) = try await lazy.solve() else { continue }
      let roots = Array(work.roots.prefix(challenge.puzzle.rootCount))
      let commitment = try Commitment(challenge, roots: roots, signedBy: .device(world.key))
      let request = try world.verifier.request(
        for: commitment, from: .anybody, epoch: PoWWorld.epoch,
        nowMilliseconds: PoWWorld.opens + 1)
      let pieces = request.places.map { work.piece(root: $0.root, index: $0.index) }
      let proof = try Proof(
        challenge, .opened(roots: roots, pieces: pieces), signedBy: .device(world.key))
      #expect(try world.verdict(proof).refusal == .wrongWork, "\(kind)")
    }
  }

  @Test("lying verifier: an entry that was changed, added or dropped is not under the signed root")
  func lyingVerifier() throws {
    let key = try SigningKey()
    func entry(_ reason: Transition.Reason, to: DeviceState.Status) -> Transition {
      Transition(
        device: world.device, epoch: 10, from: .pending, to: to, reason: reason,
        rating: DeviceRating([.hash]))
    }
    let truth = entry(.slow, to: .failed)
    var log = VerdictLog(epoch: 10)
    try log.add(entry(.undecided, to: .pending))
    try log.add(truth)
    let head = try log.head(signedBy: key)
    #expect(try head.isSigned(by: key.verifyingKey))
    #expect(head.contains(truth, at: 1, path: log.path(to: 1)))
    #expect(
      !head.contains(entry(.rates, to: .verified(untilEpoch: 11)), at: 1, path: log.path(to: 1)))
    // Another list of the hour has another root, and the signature is for the first.
    var other = VerdictLog(epoch: 10)
    try other.add(truth)
    #expect(try other.head(signedBy: key).root != head.root)
  }
}
