import IorunCore
import IorunCrypto
import Synchronization
import Testing

@testable import IorunPoW

/// What a flood of false answers costs the verifier, counted in the work of each kind: no clock is
/// asked.
@Suite("Floods")
struct FloodCostTests {
  let world: PoWWorld

  init() throws { world = try PoWWorld() }

  @Test(
    "false-answer floods: checking one costs less than 1/10,000 of the work that it pretends",
    arguments: [PuzzleKind.lane, .memory, .product])
  func floodCost(kind: PuzzleKind) throws {
    // What the head asks of one core of about 24 million steps a second: the least that it asks of
    // anybody. Lanes of a second are the check beside jobs, of five seconds a round.
    let puzzles: [Puzzle] =
      switch kind {
      case .lane:
        try [24_000_000, 120_000_000].map {
          .lane(try LanePuzzle(cores: 1, stepsOfLane: $0 / LanePuzzle.lanesPerCore))
        }
      case .memory: [.memory(try MemoryPuzzle(labels: 1 << 20, cores: 1, segments: 2048))]
      default: [.product(try ProductPuzzle(size: 4096))]
      }
    for puzzle in puzzles {
      let challenge = try world.challenge(puzzle)
      // Right in all that costs the verifier nothing, and wrong in the work alone.
      let leaf = SHA256.digest(of: [7])
      var roots = (0..<puzzle.rootCount).map { SHA256.digest(of: [UInt8($0 & 255)]) }
      var tree: MerkleTree?
      var whole = 0
      switch puzzle {
      case .lane(let lane): whole = lane.lanes * lane.steps
      case .memory(let memory):
        whole = memory.steps + memory.labels * memory.labelSteps
        let made = MerkleTree(
          leaves: (0..<memory.leafCount).flatMap { _ in leaf.bytes }, width: 32)
        roots = roots.map { _ in made.root }
        tree = made
      case .product(let product): whole = product.multiplications
      case .hash, .gpuMemory: break
      }
      let request = OpeningRequest(
        challenge: challenge,
        nonce: try world.issuer.openingNonce(for: challenge, roots: roots))
      let pieces = request.places.map { place in
        switch puzzle {
        case .lane(let lane):
          OpenedPiece(
            root: place.root, index: place.index,
            paths: [[Digest](repeating: leaf, count: lane.depth)])
        case .memory(let memory):
          {
            let first =
              place.index / memory.segments * (memory.segments + 1)
              + place.index % memory.segments
            return OpenedPiece(
              root: place.root, index: place.index, values: [leaf, leaf],
              paths: [first, first + 1].map { tree?.path(to: $0) ?? [] })
          }()
        default: OpenedPiece(root: place.root, index: place.index, paths: [[leaf]])
        }
      }
      let counted = Mutex(0)
      var verifier = Verifier(world.issuer)
      verifier.counted = { steps in counted.withLock { $0 += Int(steps) } }
      #expect(throws: Refusal.wrongWork) {
        try verifier.work(shownBy: .opened(roots: roots, pieces: pieces), challenge)
      }
      let cost = counted.withLock { $0 }
      #expect(cost > 0 && cost * 10_000 < whole, "\(puzzle): \(cost) of \(whole)")
    }
  }
}
