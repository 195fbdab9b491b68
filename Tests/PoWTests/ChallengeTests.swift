import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Challenges")
struct ChallengeTests {
  private func json(_ challenge: Challenge) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys]
    return String(decoding: try encoder.encode(challenge), as: UTF8.self)
  }

  private func decode(_ text: String) throws -> Challenge {
    try JSONDecoder().decode(Challenge.self, from: Data(text.utf8))
  }

  @Test("a challenge of every kind survives JSON", arguments: PuzzleKind.allCases)
  func roundTrip(kind: PuzzleKind) throws {
    let world = try PoWWorld()
    let challenge = try world.challenge(PoWWorld.puzzle(kind))
    let again = try decode(json(challenge))
    #expect(again == challenge)
    #expect(try world.issuer.issued(again))
  }

  @Test("to ask twice is to ask once; another round is another challenge")
  func stateless() throws {
    let world = try PoWWorld()
    let puzzle = try PoWWorld.puzzle(.hash)
    #expect(try world.challenge(puzzle) == world.challenge(puzzle))
    #expect(try world.challenge(puzzle).id != world.challenge(puzzle, round: 1).id)
    #expect(try world.challenge(puzzle).seed != world.challenge(puzzle, round: 1).seed)
    let other = try ChallengeIssuer(secret: [UInt8](repeating: 9, count: 32))
    #expect(try !other.issued(world.challenge(puzzle)))
  }

  @Test("the text is the one that docs/POW.md shows")
  func text() throws {
    let challenge = try PoWWorld().challenge(PoWWorld.puzzle(.hash))
    #expect(
      challenge.text.hasSuffix(
        "|480000|\(String(repeating: "07", count: 32))|0|1728000000000|1728000005000|cpu.hash"
          + "|milliseconds=20"))
    #expect(challenge.text.hasPrefix("iorun/pow/1|challenge|"))
  }

  @Test("absurd sizes are refused before anything is computed or allocated")
  func absurdSizes() throws {
    let wrong: [() throws -> Any] = [
      { try HashPuzzle(milliseconds: 0) }, { try HashPuzzle(milliseconds: .max) },
      { try LanePuzzle(cores: 513, depth: 5, nodeSteps: 5) },
      { try LanePuzzle(cores: 1, depth: 60, nodeSteps: 5) },
      { try LanePuzzle(cores: 1, depth: 5, nodeSteps: .max) },
      { try LanePuzzle(cores: 1, depth: 5, nodeSteps: 5, openings: 65) },
      { try MemoryPuzzle(labels: .max, cores: 1, segments: 1) },
      { try MemoryPuzzle(labels: 2000, labelSteps: 257, cores: 1, segments: 1) },
      { try MemoryPuzzle(labels: 2000, cores: 1, segments: .max) },
      { try MemoryPuzzle(labels: -1, cores: 1, segments: 1) },
      { try ProductPuzzle(size: 1 << 30) }, { try ProductPuzzle(size: 200) },
      { try ProductPuzzle(size: 32_768, layers: 1024) }, { try ProductPuzzle(size: 0) },
    ]
    for make in wrong {
      let error = #expect(throws: IorunError.self) { _ = try make() }
      #expect(error?.code == .malformed)
    }
  }

  @Test("a device takes no more memory than it may, and none before it knows")
  func memoryLimit() throws {
    let world = try PoWWorld()
    let huge = try world.challenge(
      .memory(MemoryPuzzle(labels: 1 << 37, cores: 1, segments: 1)))
    let error = #expect(throws: IorunError.self) { try Solver(huge, threads: 1) }
    #expect(error?.code == .noMemoryForProof)
  }

  @Test("unknown versions and kinds are named")
  func unknown() throws {
    let text = try json(PoWWorld().challenge(PoWWorld.puzzle(.hash)))
    let version = #expect(throws: IorunError.self) {
      try decode(text.replacingOccurrences(of: "pow\\/1", with: "pow\\/9"))
    }
    #expect(version?.code == .versionMismatch)
    let kind = #expect(throws: IorunError.self) {
      try decode(text.replacingOccurrences(of: "cpu.hash", with: "cpu.magic"))
    }
    #expect(kind?.code == .malformed)
  }

  @Test("no mutation of a challenge crashes the reader, and none that changes it is believed")
  func mutations() throws {
    let world = try PoWWorld()
    var generator = SeededGenerator(state: 21)
    for kind in PuzzleKind.allCases {
      let challenge = try world.challenge(PoWWorld.puzzle(kind))
      let original = Array(try json(challenge).utf8)
      for _ in 0..<200 {
        var bytes = original
        for _ in 0...Int.random(in: 0..<3, using: &generator) {
          let place = Int.random(in: 0..<bytes.count, using: &generator)
          switch Int.random(in: 0..<3, using: &generator) {
          case 0: bytes[place] = .random(in: 0...255, using: &generator)
          case 1: bytes.remove(at: place)
          default: bytes.insert(UInt8(ascii: "9"), at: place)
          }
        }
        guard let read = try? JSONDecoder().decode(Challenge.self, from: Data(bytes)) else {
          continue
        }
        #expect(try world.issuer.issued(read) == (read == challenge))
      }
    }
  }

  @Test("beacons count only as they were committed to, all of them")
  func beacons() throws {
    func beacon(_ byte: UInt8, epoch: Int64 = 5) throws -> Beacon {
      Beacon(epoch: epoch, secret: try #require(Digest(bytes: [UInt8](repeating: byte, count: 32))))
    }
    let (one, two) = (try beacon(1), try beacon(2))
    let committed: Set = [one.commitment, two.commitment]
    let combined = try Beacon.combined([one, two], commitments: committed)
    #expect(try Beacon.combined([two, one], commitments: committed) == combined)
    #expect(throws: IorunError.self) { try Beacon.combined([one], commitments: committed) }
    #expect(throws: IorunError.self) {
      try Beacon.combined([one, beacon(3)], commitments: committed)
    }
    #expect(throws: IorunError.self) {
      try Beacon.combined([one, beacon(2, epoch: 6)], commitments: committed)
    }
    #expect(throws: IorunError.self) { try Beacon.combined([], commitments: []) }
  }

  @Test("a window begins at a secret time and ends within its hour")
  func schedule() throws {
    let schedule = EpochSchedule(secret: [UInt8](repeating: 1, count: 32))
    let starts = try (0..<Int64(200)).map { epoch in
      let start = try schedule.windowStart(of: epoch)
      #expect(EpochSchedule.epoch(atSeconds: start) == epoch)
      #expect(EpochSchedule.epoch(atSeconds: start + EpochSchedule.windowSeconds - 1) == epoch)
      return start - epoch * 3600
    }
    #expect(Set(starts).count > 150)
    #expect((starts.max() ?? 0) > 2400 && (starts.min() ?? 9999) < 300)
    let other = EpochSchedule(secret: [UInt8](repeating: 2, count: 32))
    #expect(try other.windowStart(of: 7) != schedule.windowStart(of: 7))
    #expect(EpochSchedule.epoch(atSeconds: -1) == -1)
  }
}
