import Foundation
import IorunContract
import IorunCore
import IorunCrypto
import IorunPoW
import Synchronization
import Testing

@testable import IorunWorker

/// A node as a prover: it solves for its head alone, with an idle machine alone.
@Suite("A node's prover")
struct ProverCoreTests {
  private let head = PeerID(high: 1, low: 1)
  private let verifier: FakeVerifier
  private let machine = FakeMachine()
  private let prover: ProverCore

  init() throws {
    verifier = try FakeVerifier()
    prover = ProverCore(
      key: try SigningKey(), head: head, verifier: verifier, machine: machine.idle, cores: 2,
      memory: .mebi(64), calibration: .milliseconds(20))
  }

  private func end() async throws -> ProofProgress {
    let ends: Set<ProofProgress.State> = [.submitted, .stopped, .failed]
    while true {
      if let progress = try await prover.progress(caller: head), ends.contains(progress.state) {
        return progress
      }
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  private static func puzzle(_ kind: PuzzleKind) throws -> Puzzle {
    kind == .hash
      ? try .hash(HashPuzzle(milliseconds: 20))
      : try .lane(LanePuzzle(cores: 2, depth: 5, nodeSteps: 4, openings: 8))
  }

  private static func long() throws -> Puzzle { try .hash(HashPuzzle(milliseconds: 120_000)) }

  @Test(
    "a challenge is solved and its answer handed in; the machine is given back",
    .timeLimit(.minutes(1)), arguments: [PuzzleKind.hash, .lane])
  func solves(_ kind: PuzzleKind) async throws {
    let challenge = try verifier.challenge(Self.puzzle(kind), for: prover.device)
    #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .started)
    let end = try await end()
    #expect(end.state == .submitted, "\(end.reason ?? "")")
    #expect(end.verdict?.isAccepted == true)
    #expect(end.challenge == challenge.id && end.done > 0)
    #expect(!machine.isTaken)
  }

  @Test(
    "a node's answers are sealed by a session once there is one, and signed beside jobs until then",
    .timeLimit(.minutes(1)))
  func session() async throws {
    let check = try verifier.challenge(
      .lane(LanePuzzle(cores: 1, depth: 2, nodeSteps: 4)), for: prover.device)
    _ = try await prover.start(check, besideJobs: true, caller: head)
    #expect(try await end().verdict?.isAccepted == true)
    #expect(verifier.state.withLock { $0.sessions.count == 0 && $0.codes == 0 })
    // The session is had while the work goes on: which is done first is not said.
    var round = 1
    while verifier.state.withLock({ $0.codes }) == 0 {
      let challenge = try verifier.challenge(
        Self.puzzle(.hash), for: prover.device, round: min(63, round))
      _ = try await prover.start(challenge, besideJobs: false, caller: head)
      try await eventually("the round did not end") { await prover.isIdle }
      round += 1
    }
    #expect(verifier.state.withLock { $0.verdicts.allSatisfy(\.isAccepted) })
    #expect(verifier.state.withLock { $0.sessions.count } == 1)
  }

  @Test("an answer reaches a head that was away for a moment", .timeLimit(.minutes(1)))
  func away() async throws {
    verifier.state.withLock { $0.unreachable = 3 }
    let challenge = try verifier.challenge(Self.puzzle(.lane), for: prover.device)
    _ = try await prover.start(challenge, besideJobs: false, caller: head)
    #expect(try await end().verdict?.isAccepted == true)
  }

  @Test("a job that starts ends the work, and the head is told", .timeLimit(.minutes(1)))
  func givesWay() async throws {
    let challenge = try verifier.challenge(Self.long(), for: prover.device)
    #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .started)
    #expect(machine.isTaken)
    #expect(try await prover.progress(caller: head)?.state == .working)
    machine.use()
    #expect(try await end().state == .stopped)
    try await eventually("the head is not told") {
      verifier.state.withLock { $0.gaveWay } == [challenge.id]
    }
    // No proof is begun beside jobs, but for the check of one core.
    let next = try verifier.challenge(Self.puzzle(.hash), for: prover.device, round: 1)
    #expect(try await prover.start(next, besideJobs: false, caller: head) == .busy)
    await #expect(throws: IorunError.self) { try await prover.profile(caller: head) }
    let check = try verifier.challenge(
      .lane(LanePuzzle(cores: 1, depth: 4, nodeSteps: 4, openings: 4)), for: prover.device,
      round: 2)
    #expect(try await prover.start(check, besideJobs: true, caller: head) == .started)
    #expect(try await end().verdict?.isAccepted == true)
    // Nothing large hides as such a check.
    await #expect(throws: IorunError.self) {
      try await prover.start(next, besideJobs: true, caller: head)
    }
  }

  @Test(
    "work can be held, goes on, and is given up; another challenge replaces it",
    .timeLimit(.minutes(1)))
  func controls() async throws {
    let challenge = try verifier.challenge(Self.long(), for: prover.device)
    _ = try await prover.start(challenge, besideJobs: false, caller: head)
    try await prover.hold(challenge.id, isHeld: true, caller: head)
    #expect(try await prover.progress(caller: head)?.state == .paused)
    try await prover.hold(challenge.id, isHeld: false, caller: head)
    #expect(try await prover.progress(caller: head)?.state == .working)
    // The same again goes on.
    #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .started)
    try await prover.cancel(challenge.id, caller: head)
    #expect(try await prover.progress(caller: head)?.state == .stopped)
    #expect(verifier.state.withLock { $0.gaveWay.isEmpty })
    await #expect(throws: IorunError.self) {
      try await prover.hold(challenge.id, isHeld: true, caller: head)
    }
    _ = try await prover.start(
      verifier.challenge(Self.long(), for: prover.device, round: 1), besideJobs: false,
      caller: head)
    let last = try verifier.challenge(Self.puzzle(.hash), for: prover.device, round: 2)
    #expect(try await prover.start(last, besideJobs: false, caller: head) == .started)
    #expect(try await end().challenge == last.id)
  }

  @Test("the claim is measured by the work itself, once", .timeLimit(.minutes(1)))
  func profile() async throws {
    let profile = try await prover.profile(caller: head)
    #expect(profile.device == prover.device && profile.cores == 2)
    #expect((profile.rates[.hash] ?? 0) > 1e4 && (profile.rates[.lane] ?? 0) > 1e4)
    #expect(try await prover.profile(caller: head) == profile)
    #expect(!machine.isTaken)
  }

  @Test("nobody but the head gives a prover orders; another device's challenge is refused")
  func rights() async throws {
    let stranger = PeerID(high: 66, low: 66)
    let challenge = try verifier.challenge(Self.puzzle(.hash), for: prover.device)
    func refused(_ call: () async throws -> Void) async {
      do {
        try await call()
        Issue.record("a stranger was obeyed")
      } catch { #expect((error as? IorunError)?.code == .notAllowed) }
    }
    await refused { _ = try await prover.profile(caller: stranger) }
    await refused {
      _ = try await prover.start(challenge, besideJobs: false, caller: stranger)
    }
    await refused { _ = try await prover.progress(caller: stranger) }
    await refused { try await prover.hold([1], isHeld: true, caller: stranger) }
    await refused { try await prover.cancel([1], caller: stranger) }
    let other = try verifier.challenge(
      Self.puzzle(.hash), for: DeviceID(SigningKey()))
    await #expect(throws: IorunError.self) {
      try await prover.start(other, besideJobs: false, caller: head)
    }
    let large = try verifier.challenge(
      .memory(MemoryPuzzle(labels: 1 << 30, cores: 1, segments: 1)), for: prover.device)
    await #expect(throws: IorunError.self) {
      try await prover.start(large, besideJobs: false, caller: head)
    }
    #expect(!machine.isTaken)
  }

  // MARK: Memory

  private func order(labels: Int = 2000) throws -> TableOrder {
    try TableOrder(
      device: prover.device, epoch: FakeVerifier.epoch, beacon: SHA256.digest(of: [1]),
      labels: labels, labelSteps: 3)
  }

  private static func walk(labels: Int = 2000) throws -> Puzzle {
    try .memory(
      MemoryPuzzle(
        labels: labels, labelSteps: 3, cores: 2, segments: 5, segmentSteps: 4, openings: 8))
  }

  @Test("memory is filled first, and walked over in round after round", .timeLimit(.minutes(1)))
  func walks() async throws {
    // Nothing is filled while the head's clock runs.
    let early = try verifier.challenge(Self.walk(), for: prover.device)
    #expect(try await prover.start(early, besideJobs: false, caller: head) == .busy)
    #expect(try await prover.prepare(order(), caller: head) == .ready)
    #expect(machine.isTaken)
    // The same again is there already.
    #expect(try await prover.prepare(order(), caller: head) == .ready)
    for round in 0..<2 {
      let challenge = try verifier.challenge(Self.walk(), for: prover.device, round: round)
      #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .started)
      try await eventually("the walk did not end") {
        let progress = try await prover.progress(caller: head)
        return progress?.challenge == challenge.id && progress?.state == .submitted
      }
      let end = try await end()
      #expect(end.verdict?.isAccepted == true, "\(end)")
      // No label was made anew.
      #expect(end.done == 48 * 2 * 5 * 4)
      #expect(machine.isTaken)
    }
    // Other work ends the wait, and the machine is free after it.
    let other = try verifier.challenge(Self.puzzle(.lane), for: prover.device, round: 2)
    #expect(try await prover.start(other, besideJobs: false, caller: head) == .started)
    #expect(try await end().verdict?.isAccepted == true)
    #expect(!machine.isTaken)
    let late = try verifier.challenge(Self.walk(), for: prover.device, round: 3)
    #expect(try await prover.start(late, besideJobs: false, caller: head) == .busy)
    let shown = await prover.ownersView
    #expect(shown.latest.map(\.kind) == ["cpu.lane", "mem"])
  }

  @Test("a job that starts gets the memory of a table that waits", .timeLimit(.minutes(1)))
  func tableGivesWay() async throws {
    #expect(try await prover.prepare(order(), caller: head) == .ready)
    machine.use()
    try await eventually("the table is kept") { await prover.held == nil }
    let challenge = try verifier.challenge(Self.walk(), for: prover.device)
    #expect(try await prover.start(challenge, besideJobs: false, caller: head) == .busy)
    #expect(try await prover.prepare(order(), caller: head) == .busy)
  }

  @Test("a job that starts while memory is filled ends that", .timeLimit(.minutes(1)))
  func fillingGivesWay() async throws {
    let long = try TableOrder(
      device: prover.device, epoch: 1, beacon: SHA256.digest(of: [1]), labels: 1 << 20,
      labelSteps: 256)
    let (prover, head) = (prover, head)
    let filling = Task { try await prover.prepare(long, caller: head) }
    try await eventually("it does not fill") { await prover.filling?.solver.progress.done ?? 0 > 0 }
    machine.use()
    #expect(try await filling.value == .busy)
    #expect(await prover.held == nil)
  }

  @Test("no table is begun, or gone on with, where the machine has not the memory free")
  func noRoom() async throws {
    let readings = Mutex(0)
    func prover(free: [Int64]) throws -> ProverCore {
      readings.withLock { $0 = 0 }
      return ProverCore(
        key: try SigningKey(), head: head, verifier: verifier, machine: machine.idle, cores: 2,
        memory: .mebi(64),
        freeMemory: FreeMemory {
          readings.withLock { count in
            defer { count += 1 }
            return (free[min(count, free.count - 1)], 1 << 32)
          }
        })
    }
    for free in [[1 << 20], [1 << 32, 1 << 20]] as [[Int64]] {
      let prover = try prover(free: free)
      let order = try TableOrder(
        device: prover.device, epoch: 1, beacon: SHA256.digest(of: [1]), labels: 2000,
        labelSteps: 3)
      await #expect {
        _ = try await prover.prepare(order, caller: head)
      } throws: { ($0 as? IorunError)?.code == .noMemoryForProof }
      #expect(!machine.isTaken)
    }
    await #expect {
      _ = try await self.prover.prepare(order(labels: 1 << 22), caller: head)
    } throws: { ($0 as? IorunError)?.code == .noMemoryForProof }
    await #expect(throws: IorunError.self) {
      let other = try TableOrder(
        device: DeviceID(SigningKey()), epoch: 1, beacon: SHA256.digest(of: [1]), labels: 2000,
        labelSteps: 3)
      _ = try await self.prover.prepare(other, caller: head)
    }
    await #expect {
      _ = try await self.prover.prepare(order(), caller: PeerID(high: 66, low: 66))
    } throws: { ($0 as? IorunError)?.code == .notAllowed }
  }
}
