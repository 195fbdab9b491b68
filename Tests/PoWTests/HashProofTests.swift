import Foundation
import IorunCore
import Synchronization
import Testing

@testable import IorunPoW

@Suite("Hash proofs")
struct HashProofTests {
  let peer = PeerID(high: 1, low: 2)

  func challenge(bits: Int = 12, epoch: Int64 = 7, deadline: Double = 100) throws -> HashChallenge {
    try HashChallenge(
      seed: [UInt8](repeating: 5, count: 32), difficulty: HashDifficulty(bits: bits), peer: peer,
      epoch: epoch, deadline: deadline)
  }

  func verdict(
    _ solution: HashSolution, of challenge: HashChallenge, from other: PeerID? = nil,
    epoch: Int64 = 7, minimum: Int = 12, now: Double = 50
  ) throws -> HashVerifier.Verdict {
    HashVerifier.verify(
      solution, of: challenge, from: other ?? peer, epoch: epoch,
      minimum: try HashDifficulty(bits: minimum), now: now)
  }

  @Test("a solution is accepted, whatever the number of threads", arguments: [1, 2, 5])
  func roundTrip(threads: Int) async throws {
    let challenge = try challenge()
    let solution = try await HashSolver(challenge, threads: threads).solution()
    #expect(solution.hashes > 0)
    #expect(solution.seconds > 0)
    #expect(try verdict(solution, of: challenge) == .accepted)
  }

  @Test("one thread finds the lowest nonce and counts every hash")
  func counting() async throws {
    let solution = try await HashSolver(challenge(), threads: 1).solution()
    #expect(solution.hashes == solution.nonce + 1)
  }

  @Test("another peer's solution is refused")
  func wrongPeer() async throws {
    let solution = try await HashSolver(challenge(), threads: 1).solution()
    let thief = PeerID(high: 3, low: 4)
    #expect(try verdict(solution, of: challenge(), from: thief) == .refused(.wrongPeer))
    // Nor does the nonce solve the same challenge made for the thief.
    let own = try HashChallenge(
      seed: challenge().seed, difficulty: challenge().difficulty, peer: thief, epoch: 7,
      deadline: 100)
    #expect(try verdict(solution, of: own, from: thief) == .refused(.wrongNonce))
  }

  @Test("a tampered nonce is refused")
  func tamperedNonce() async throws {
    var solution = try await HashSolver(challenge(bits: 16), threads: 2).solution()
    solution.nonce ^= 1
    #expect(try verdict(solution, of: challenge(bits: 16)) == .refused(.wrongNonce))
  }

  @Test("a solution of another epoch, after the deadline, or of an easier challenge is refused")
  func otherRefusals() async throws {
    let solution = try await HashSolver(challenge(), threads: 1).solution()
    #expect(try verdict(solution, of: challenge(), epoch: 8) == .refused(.wrongEpoch))
    #expect(try verdict(solution, of: challenge(), now: 100.5) == .refused(.late))
    #expect(try verdict(solution, of: challenge(), now: .nan) == .refused(.late))
    #expect(try verdict(solution, of: challenge(), minimum: 13) == .refused(.tooEasy))
    #expect(try verdict(solution, of: challenge(bits: 13), minimum: 12) == .refused(.wrongNonce))
  }

  @Test("an absurd difficulty is refused before any work", arguments: [-1, 0, 45, 64, Int.max])
  func absurdDifficulty(bits: Int) {
    let error = #expect(throws: IorunError.self) { try HashDifficulty(bits: bits) }
    #expect(error?.code == .malformed)
    #expect(throws: (any Error).self) {
      try JSONDecoder().decode(HashDifficulty.self, from: Data("\(bits)".utf8))
    }
  }

  @Test("a challenge from the network is checked when it is decoded")
  func decoding() throws {
    let encoded = try JSONEncoder().encode(challenge())
    #expect(try JSONDecoder().decode(HashChallenge.self, from: encoded) == challenge())
    let short = String(decoding: encoded, as: UTF8.self).replacingOccurrences(of: "[5,", with: "[")
    #expect(throws: IorunError.self) {
      try JSONDecoder().decode(HashChallenge.self, from: Data(short.utf8))
    }
  }

  // A search of 44 bits takes days: that it ends at all shows that it was cancelled.
  @Test("cancellation stops a hopeless search", .timeLimit(.minutes(3)))
  func cancellation() async throws {
    let solver = try HashSolver(challenge(bits: 44), threads: 2)
    let search = Task { try await solver.solution() }
    // The pool answers although the search has as many threads as there are cores.
    #expect(await Task.detached { 1 + 1 }.value == 2)
    search.cancel()
    let error = await #expect(throws: IorunError.self) { try await search.value }
    #expect(error?.code == .cancelled)
  }

  @Test("the cooperative pool goes on while a search takes every core")
  func coexistence() async throws {
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let solver = try HashSolver(challenge(bits: 44), threads: cores * 2)
    let search = Task { try await solver.solution() }
    for round in 0..<200 {
      let answers = await withTaskGroup(of: Int.self) { group in
        for value in 0..<8 {
          group.addTask {
            await Task.yield(); return value
          }
        }
        return await group.reduce(0, +)
      }
      #expect(answers == 28, "round \(round)")
    }
    search.cancel()
    await #expect(throws: IorunError.self) { try await search.value }
  }
}
