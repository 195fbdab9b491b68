import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Solving and verifying")
struct SolverTests {
  @Test(
    "an honest proof of every kind is accepted, by any number of threads",
    arguments: PuzzleKind.allCases, [1, 3])
  func honest(kind: PuzzleKind, threads: Int) async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(PoWWorld.puzzle(kind))
    let proof = try await world.solve(challenge, threads: threads).proof
    let verdict = try world.verdict(proof)
    #expect(verdict.refusal == nil)
    #expect(verdict.work > 0)
    #expect(verdict.seconds == 1)
    let again = try JSONDecoder().decode(Proof.self, from: JSONEncoder().encode(proof))
    #expect(again == proof)
  }

  @Test(
    "the portable path gives the same roots as the fastest",
    arguments: [PuzzleKind.lane, .memory, .product])
  func portable(kind: PuzzleKind) async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(PoWWorld.puzzle(kind))
    let fast = try await world.solve(challenge).work
    let slow = try await world.solve(challenge, kernel: .swift).work
    #expect(fast?.roots == slow?.roots)
  }

  @Test("a sketch of every kernel is accepted", arguments: Kernel.forHash)
  func sketches(kernel: Kernel) async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(PoWWorld.puzzle(.hash))
    let solver = try Solver(challenge, threads: 2, kernel: kernel)
    guard case .complete(let answer) = try await solver.solve() else {
      Issue.record("a hash puzzle has a whole answer")
      return
    }
    let verdict = try world.verdict(Proof(challenge, answer, signedBy: .device(world.key)))
    #expect(verdict.refusal == nil)
    // Six deviations around what was done.
    let ratio = verdict.work / Double(solver.progress.done)
    #expect(ratio > 0.6 && ratio < 1.6)
  }

  @Test("a table serves the next round, and only its own epoch's")
  func tables() async throws {
    let world = try PoWWorld()
    let puzzle = try PoWWorld.puzzle(.memory)
    let first = try await world.solve(world.challenge(puzzle)).work?.table
    let next = try world.challenge(puzzle, round: 1)
    let second = try await world.solve(next, table: first)
    #expect(second.work?.table === first)
    #expect(try world.verdict(second.proof).refusal == nil)
    let other = try PoWWorld(beacon: 8)
    let third = try await other.solve(other.challenge(puzzle), table: first)
    #expect(third.work?.table !== first)
    #expect(try other.verdict(third.proof).refusal == nil)
  }

  @Test("a held solver does nothing, and then solves as if it had never been held")
  func heldFromTheStart() async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(PoWWorld.puzzle(.lane))
    let solver = try Solver(challenge, threads: 2)
    solver.pause()
    let solving = Task { try await solver.solve() }
    for _ in 0..<100 { await Task.yield() }
    #expect(solver.progress.done == 0)
    solver.resume()
    guard case .committed(let work) = try await solving.value else {
      Issue.record("lanes are committed to")
      return
    }
    #expect(solver.progress.done == solver.progress.total)
    #expect(try await world.solve(challenge).work?.roots == work.roots)
  }

  // Minutes of work, so that it cannot be over before it is held.
  @Test("a solver held on the way stands still, and goes on where it was", .timeLimit(.minutes(2)))
  func heldOnTheWay() async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(
      .lane(LanePuzzle(cores: 16, depth: 12, nodeSteps: 4000, openings: 4)))
    let solver = try Solver(challenge, threads: 2)
    let solving = Task { try await solver.solve() }
    for _ in 0..<2 {
      let before = solver.progress.done
      try await waitUntil { solver.progress.done > before }
      solver.pause()
      try await waitUntil { solver.isIdle }
      let held = solver.progress.done
      for _ in 0..<100 { await Task.yield() }
      #expect(solver.progress.done == held)
      solver.resume()
    }
    solver.cancel()
    await #expect(throws: IorunError.self) { try await solving.value }
  }

  private func waitUntil(_ condition: () -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while !condition() {
      try #require(ContinuousClock.now < deadline)
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  // Two minutes of work: that it ends at once shows that it was cancelled.
  @Test(
    "cancellation stops running and held work", .timeLimit(.minutes(1)), arguments: [false, true])
  func cancellation(isHeld: Bool) async throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(.hash(HashPuzzle(milliseconds: 120_000)))
    let solver = try Solver(challenge, threads: 3)
    if isHeld { solver.pause() }
    let solving = Task { try await solver.solve() }
    // The pool answers although the work has more threads than there are cores.
    #expect(await Task.detached { 1 + 1 }.value == 2)
    solving.cancel()
    let error = await #expect(throws: IorunError.self) { try await solving.value }
    #expect(error?.code == .cancelled)
  }

  @Test(
    "no mutation of a proof or commitment crashes the reader or is accepted as another",
    arguments: PuzzleKind.allCases)
  func mutations(kind: PuzzleKind) async throws {
    let world = try PoWWorld()
    let (proof, commitment, _) = try await world.solve(world.challenge(PoWWorld.puzzle(kind)))
    let original = Array(try ProofDocument.encode(proof))
    var generator = SeededGenerator(state: 41)
    for _ in 0..<100 {
      var bytes = original
      let place = Int.random(in: 0..<bytes.count, using: &generator)
      switch Int.random(in: 0..<4, using: &generator) {
      case 0: bytes[place] = .random(in: 0...255, using: &generator)
      case 1: bytes.remove(at: place)
      case 2: bytes.insert(UInt8(ascii: "0"), at: place)
      default: bytes.removeSubrange(place..<min(place + 40, bytes.count))
      }
      guard let read = try? ProofDocument.decode(Proof.self, from: Data(bytes)) else { continue }
      // What reads as the same is the same; anything else is refused.
      #expect(try world.verdict(read).isAccepted == (read == proof))
    }
    guard let commitment else { return }
    let text = try ProofDocument.encode(commitment)
    #expect(try ProofDocument.decode(Commitment.self, from: text) == commitment)
    for length in stride(from: 0, to: text.count - 2, by: 97) {
      #expect(throws: IorunError.self) {
        try ProofDocument.decode(Commitment.self, from: text.prefix(length))
      }
    }
  }

  @Test("documents of absurd size are refused unread, and so are answers of too many parts")
  func absurdDocuments() throws {
    let huge = Data(repeating: UInt8(ascii: "["), count: ProofDocument.maximumByteCount + 1)
    let tooLarge = #expect(throws: IorunError.self) {
      try ProofDocument.decode(Proof.self, from: huge)
    }
    #expect(tooLarge?.code == .tooLarge)
    let deep = Data(repeating: UInt8(ascii: "["), count: 100_000)
    let nested = #expect(throws: IorunError.self) {
      try ProofDocument.decode(Proof.self, from: deep)
    }
    #expect(nested?.code == .malformed)
    let nonces = (0..<5000).map { _ in "\"0000000000000000\"" }.joined(separator: ",")
    let many = #expect(throws: IorunError.self) {
      try ProofDocument.decode(Answer.self, from: Data("{\"nonces\":[\(nonces)]}".utf8))
    }
    #expect(many?.code == .malformed)
  }
}
