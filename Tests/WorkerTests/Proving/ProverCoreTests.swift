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
  /// The head as the prover sees it.
  private final class FakeVerifier: VerifierLink {
    struct State: Sendable {
      var desk: ProofDesk
      var verdicts: [Verdict] = []
      var gaveWay: [[UInt8]] = []
      /// Calls that fail first.
      var unreachable = 0
    }
    let issuer: ChallengeIssuer
    let state: Mutex<State>

    init() throws {
      issuer = try ChallengeIssuer(secret: Array(repeating: 3, count: 32))
      state = Mutex(State(desk: ProofDesk(Verifier(issuer))))
    }

    static let epoch: Int64 = 480_000
    static let opens: Int64 = 1_728_000_000_000

    func challenge(_ puzzle: Puzzle, for device: DeviceID, round: Int = 0) throws -> Challenge {
      try issuer.challenge(
        puzzle, for: device, epoch: Self.epoch, beacon: SHA256.digest(of: [1]), round: round,
        opensAtMilliseconds: Self.opens, deadlineMilliseconds: Self.opens + 60_000)
    }

    private func reach(_ state: inout State) throws {
      guard state.unreachable > 0 else { return }
      state.unreachable -= 1
      throw IorunError(.unreachable, "no answer")
    }

    func commit(_ commitment: Commitment) async throws -> OpeningRequest {
      try state.withLock { state in
        try reach(&state)
        return try state.desk.commit(
          commitment, from: .anybody, epoch: Self.epoch, nowMilliseconds: Self.opens + 100)
      }
    }

    func submit(_ proof: Proof) async throws -> Verdict {
      try state.withLock { state in
        try reach(&state)
        let verdict = try state.desk.submit(
          proof, from: .anybody, epoch: Self.epoch, nowMilliseconds: Self.opens + 100)
        state.verdicts.append(verdict)
        return verdict
      }
    }

    func gaveWay(_ challenge: [UInt8]) async throws {
      state.withLock { $0.gaveWay.append(challenge) }
    }
  }

  /// A machine's book with one entry.
  private final class FakeMachine: Sendable {
    private let state = Mutex<(isInUse: Bool, wanted: (@Sendable () -> Void)?)>((false, nil))

    var idle: IdleMachine {
      IdleMachine(
        take: { _, wanted in
          self.state.withLock { state in
            guard !state.isInUse, state.wanted == nil else { return false }
            state.wanted = wanted
            return true
          }
        },
        giveBack: { self.state.withLock { $0.wanted = nil } })
    }

    var isTaken: Bool { state.withLock { $0.wanted != nil } }

    /// A job starts.
    func use() {
      state.withLock { state in
        state.isInUse = true
        defer { state.wanted = nil }
        return state.wanted
      }?()
    }
  }

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
    #expect(verifier.state.withLock { $0.gaveWay } == [challenge.id])
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
}
