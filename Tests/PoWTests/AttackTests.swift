import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

/// One test for each way to cheat that this part can answer; the names are those of the table in
/// docs/POW.md.
@Suite("Attacks")
struct AttackTests {
  let world: PoWWorld

  init() throws { world = try PoWWorld() }

  private func refusal(_ proof: Proof) throws -> Refusal? { try world.verdict(proof).refusal }

  private func reseal(_ proof: Proof, _ answer: Answer) throws -> Proof {
    try Proof(proof.challenge, answer, signedBy: .device(world.key))
  }

  @Test("replay: a proof counts once, at its place, and the same again gets the same verdict")
  func replay() async throws {
    var desk = ProofDesk(world.verifier)
    let challenge = try world.challenge(PoWWorld.puzzle(.hash))
    let proof = try await world.solve(challenge).proof
    func submit(_ proof: Proof, _ epoch: Int64 = PoWWorld.epoch) throws -> Verdict {
      try desk.submit(
        proof, from: .anybody, epoch: epoch, nowMilliseconds: PoWWorld.opens + 900)
    }
    let first = try submit(proof)
    #expect(first.isAccepted)
    #expect(try submit(proof) == first)
    // Another answer to the same challenge, as good as the first.
    let second = try await world.solve(challenge).proof
    if second.answer != proof.answer { #expect(try submit(second).refusal == .replayed) }
    // The next round's challenge is another one: the old answer is none of it.
    let next = try world.challenge(PoWWorld.puzzle(.hash), round: 1)
    let moved = try Proof(next, proof.answer, signedBy: .device(world.key))
    #expect(try submit(moved).refusal == .unordered)
    // And two epochs later the desk has forgotten it, and the epoch is refused.
    desk.forget(before: PoWWorld.epoch + 1)
    #expect(desk.count == 0)
    #expect(try submit(proof, PoWWorld.epoch + 2).refusal == .wrongEpoch)
  }

  @Test(
    "precomputation: work under another beacon is worth nothing", arguments: PuzzleKind.allCases)
  func precomputation(kind: PuzzleKind) async throws {
    let guessed = try PoWWorld(beacon: 8)
    let early = try await guessed.solve(guessed.challenge(PoWWorld.puzzle(kind))).proof
    let moved = try Proof(
      world.challenge(PoWWorld.puzzle(kind)), early.answer, signedBy: .device(world.key))
    #expect(try refusal(moved) != nil)
  }

  @Test("outsourcing: what another device hands in under its own key is refused")
  func outsourcing() async throws {
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.hash))).proof
    let thief = try Proof(proof.challenge, proof.answer, signedBy: .device(SigningKey()))
    #expect(try refusal(thief) == .notSealed)
  }

  @Test("wrong device key: a challenge made out to another device is not this verifier's")
  func wrongDeviceKey() async throws {
    let challenge = try world.challenge(PoWWorld.puzzle(.hash))
    let key = try SigningKey()
    let mine = try Challenge(
      id: challenge.id, device: DeviceID(key), epoch: challenge.epoch, beacon: challenge.beacon,
      round: 0, opensAtMilliseconds: challenge.opensAtMilliseconds,
      deadlineMilliseconds: challenge.deadlineMilliseconds, puzzle: challenge.puzzle,
      code: challenge.code)
    let solver = try Solver(mine, threads: 1)
    guard case .complete(let answer) = try await solver.solve() else { return }
    #expect(try refusal(Proof(mine, answer, signedBy: .device(key))) == .challengeNotIssued)
  }

  @Test(
    "tampered difficulty: a challenge with one size changed is not this verifier's",
    arguments: PuzzleKind.allCases)
  func tamperedDifficulty(kind: PuzzleKind) async throws {
    let challenge = try world.challenge(PoWWorld.puzzle(kind))
    let smaller = try MemoryPuzzle(
      labels: 1999, labelSteps: 3, cores: 2, segments: 5, segmentSteps: 4, openings: 8)
    let easier: Puzzle =
      switch kind {
      case .hash: try .hash(HashPuzzle(milliseconds: 10))
      case .lane: try .lane(LanePuzzle(cores: 2, depth: 5, nodeSteps: 3, openings: 8))
      case .memory: .memory(smaller)
      case .gpuMemory: .gpuMemory(smaller)
      case .product: try .product(ProductPuzzle(size: 128, layers: 1, openings: 8))
      }
    let changed = try Challenge(
      id: challenge.id, device: challenge.device, epoch: challenge.epoch,
      beacon: challenge.beacon, round: 0, opensAtMilliseconds: challenge.opensAtMilliseconds,
      deadlineMilliseconds: challenge.deadlineMilliseconds, puzzle: easier, code: challenge.code)
    switch try await Solver(changed, threads: 1).solve() {
    case .complete(let answer):
      #expect(
        try refusal(Proof(changed, answer, signedBy: .device(world.key))) == .challengeNotIssued)
    case .committed(let work):
      let commitment = try Commitment(changed, roots: work.roots, signedBy: .device(world.key))
      #expect(throws: Refusal.challengeNotIssued) {
        try world.verifier.request(
          for: commitment, from: .anybody, epoch: PoWWorld.epoch,
          nowMilliseconds: PoWWorld.opens + 1)
      }
    }
  }

  @Test("late and early answers are refused, and are no sign of fraud")
  func lateAndEarly() async throws {
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.hash))).proof
    let (opens, deadline) = (PoWWorld.opens, PoWWorld.opens + 5_000)
    #expect(try world.verdict(proof, arrival: opens - 1).refusal == .early)
    #expect(try world.verdict(proof, arrival: deadline).refusal == nil)
    #expect(try world.verdict(proof, arrival: deadline + 1).refusal == .late)
    #expect(try world.verdict(proof, epoch: PoWWorld.epoch + 1).refusal == nil)
    #expect(try world.verdict(proof, epoch: PoWWorld.epoch + 2).refusal == .wrongEpoch)
    #expect(try world.verdict(proof, epoch: PoWWorld.epoch - 1).refusal == .wrongEpoch)
    #expect(!Refusal.late.isDishonest && !Refusal.early.isDishonest)
  }

  @Test("lying clock: only the verifier's clock counts; absurd times overflow nothing")
  func lyingClock() async throws {
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.hash))).proof
    for arrival in [Int64.min, -1, .max] {
      #expect(try world.verdict(proof, arrival: arrival).refusal != nil)
    }
    #expect(try world.verdict(proof, arrival: PoWWorld.opens + 2_500).seconds == 2.5)
  }

  @Test("over-claim: nonces made up, repeated or left out show no more work than was done")
  func overClaim() async throws {
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.hash))).proof
    guard case .sketch(let nonces) = proof.answer else { return }
    var repeated = nonces
    repeated[10] = repeated[9]
    #expect(try refusal(reseal(proof, .sketch(repeated))) == .unordered)
    var made = nonces
    made[200] ^= 1
    #expect(try refusal(reseal(proof, .sketch(made))) == .unordered)
    #expect(try refusal(reseal(proof, .sketch(Array(nonces.dropLast())))) == .wrongShape)
    #expect(try refusal(reseal(proof, .sketch([]))) == .wrongShape)
    #expect(try refusal(reseal(proof, .sketch(nonces.reversed()))) == .unordered)
    // Any other nonces that ascend: they show less.
    let challenge = proof.challenge
    let search = HashSearch(prefix: challenge.hashPrefix, epoch: challenge.epoch)
    let any = (0..<UInt64(256)).map { $0 }
    let sorted = zip(search.values(of: any), any).sorted { $0.0 < $1.0 }.map(\.1)
    let verdict = try world.verdict(reseal(proof, .sketch(sorted)))
    #expect(verdict.work < 300)
  }

  @Test("under-claim: a device far above its claim is marked as another model")
  func underClaim() {
    var test = RateTest()
    for _ in 0..<3 { test.add(measured: 2, expected: 1) }
    #expect(test.decision == .verified && test.isMismatch)
  }

  @Test("GPU posing as cores: lanes cut into pieces that were computed side by side fail")
  func gpuAsCores() async throws {
    // The right half of every tree was computed at the same time as the left one, so without the
    // left one's labels: each way through it is wrong, half of all.
    let puzzle = try LanePuzzle(cores: 1, depth: 6, nodeSteps: 2, openings: 16)
    let challenge = try world.challenge(.lane(puzzle))
    let seed = challenge.seed.bytes
    let chain = Chain(seed: seed)
    var trees: [[[UInt8]]] = []
    for lane in 0..<UInt32(3) {
      let tree = LaneTree(seed: seed, lane: lane, depth: 6)
      var labels = [[UInt8]](repeating: [UInt8](repeating: 0, count: 32), count: 128)
      func compute(_ node: Int, _ inputs: [[UInt8]]) {
        var state = tree.start(of: node, inputs: inputs)
        chain.advance(&state, tags: [lane], steps: 2)
        labels[node] = Words.bytes(state)
      }
      for leaf in 64..<128 {
        // The label of node 2, the left half, is not there yet.
        let inputs = tree.leftSiblings(of: leaf).map {
          $0 == 2 && leaf >= 96 ? [UInt8](repeating: 0, count: 32) : labels[$0]
        }
        var node = leaf
        compute(node, inputs)
        while node & 1 == 1, node > 1 {
          node >>= 1
          compute(node, [labels[2 * node], labels[2 * node + 1]])
        }
      }
      trees.append(labels)
    }
    let cut = trees
    let roots = cut.compactMap { Digest(bytes: $0[1]) }
    let work = CommittedWork(roots: roots) { lane, leaf in
      let path = (0..<6).compactMap { Digest(bytes: cut[lane][((64 + leaf) >> $0) ^ 1]) }
      return OpenedPiece(root: lane, index: leaf, paths: [path])
    }
    #expect(try refusal(finish(challenge, work)) == .wrongWork)
    // The same code without the cut is accepted: the test is about the cut.
    let honest = try await world.solve(challenge)
    #expect(try refusal(honest.proof) == nil)
    #expect(honest.work?.roots != roots)
  }

  private func finish(_ challenge: Challenge, _ work: CommittedWork) throws -> Proof {
    let commitment = try Commitment(challenge, roots: work.roots, signedBy: .device(world.key))
    let request = try world.verifier.request(
      for: commitment, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 1)
    return try Proof(challenge, work.answer(to: request), signedBy: .device(world.key))
  }

  @Test("half the cores: one lane handed in for two is wrong at its openings")
  func halfTheCores() async throws {
    let challenge = try world.challenge(PoWWorld.puzzle(.lane))
    let honest = try #require(try await world.solve(challenge).work)
    // The second core's lanes are copies of the first's.
    let roots = Array(honest.roots.prefix(3) + honest.roots.prefix(3))
    let copied = CommittedWork(roots: roots) { lane, leaf in
      var piece = honest.piece(root: lane % 3, index: leaf)
      piece.root = lane
      return piece
    }
    #expect(try refusal(finish(challenge, copied)) == .wrongWork)
  }

  @Test("swapped or missing memory: labels left out are wrong at the walk's openings")
  func missingMemory() async throws {
    let puzzle = try MemoryPuzzle(
      labels: 1024, labelSteps: 2, cores: 1, segments: 8, segmentSteps: 16, openings: 16)
    let challenge = try world.challenge(.memory(puzzle))
    let seed = try #require(challenge.tableSeed)
    let table = try LabelTable(seed: seed, count: puzzle.labels)
    // Nine tenths are there; the rest reads as zeros and is not made anew.
    Chain(seed: seed.bytes).fill(table.base, first: 0, count: 921, steps: 2)
    let solver = try Solver(challenge, threads: 1, table: table)
    guard case .committed(let work) = try await solver.solve() else { return }
    #expect(try refusal(finish(challenge, work)) == .wrongWork)
  }

  @Test("lazy work: a product with a part left out is wrong at its openings")
  func lazyWork() async throws {
    let challenge = try world.challenge(.product(ProductPuzzle(size: 256, openings: 64)))
    let honest = try #require(try await world.solve(challenge).work)
    // A tenth of the tiles is made up: 64 openings miss that with a chance of 0.1 %.
    let puzzle = try ProductPuzzle(size: 256, openings: 64)
    let matrices = Matrices(
      seed: ProductWork.layerSeed(challenge.seed.bytes, layer: 0, before: nil), layer: 0, size: 256)
    var leaves: [UInt8] = []
    for tile in 0..<puzzle.tileCount {
      let bytes =
        tile % 10 == 3
        ? [UInt8](repeating: 0, count: 4096)
        : matrices.tileBytes(row: tile / 8, column: tile % 8)
      leaves += MerkleTree.leafDigest(of: bytes).bytes
    }
    let tree = MerkleTree(leafDigests: leaves)
    let lazy = CommittedWork(roots: [tree.root]) { layer, tile in
      OpenedPiece(root: layer, index: tile, paths: [tree.path(to: tile)])
    }
    #expect(try refusal(finish(challenge, lazy)) == .wrongWork)
    #expect(lazy.roots != honest.roots)
  }

  @Test("guessed openings: a second commitment gets none, and a changed root draws others")
  func guessedOpenings() async throws {
    var desk = ProofDesk(world.verifier)
    let challenge = try world.challenge(PoWWorld.puzzle(.lane))
    let (proof, made, _) = try await world.solve(challenge)
    let commitment = try #require(made)
    func commit(_ commitment: Commitment) throws -> OpeningRequest {
      try desk.commit(
        commitment, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 700)
    }
    let request = try commit(commitment)
    #expect(try commit(commitment) == request)
    var roots = commitment.roots
    roots[5] = world.beacon
    let changed = try Commitment(challenge, roots: roots, signedBy: .device(world.key))
    #expect(throws: Refusal.replayed) { try commit(changed) }
    let other = try world.verifier.request(
      for: changed, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 1)
    #expect(other.nonce != request.nonce)
    // The way that was asked for, or nothing: the honest pieces in another order.
    guard case .opened(let honest, var pieces) = proof.answer else { return }
    pieces.reverse()
    #expect(try refusal(reseal(proof, .opened(roots: honest, pieces: pieces))) == .wrongOpening)
    // Timed by the commitment, not by the opening.
    let verdict = try desk.submit(
      proof, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 60_000)
    #expect(verdict.isAccepted && verdict.seconds == 0.7)
  }

  @Test("an answer without a commitment before it is refused")
  func noCommitment() async throws {
    var desk = ProofDesk(world.verifier)
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.product))).proof
    let verdict = try desk.submit(
      proof, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 700)
    #expect(verdict.refusal == .wrongOpening)
  }

  @Test("several weak as one strong: a layer's seed needs the whole layer before")
  func severalWeak() async throws {
    let challenge = try world.challenge(PoWWorld.puzzle(.product))
    let work = try #require(try await world.solve(challenge).work)
    let seed = challenge.seed.bytes
    let second = ProductWork.layerSeed(seed, layer: 1, before: work.roots[0])
    #expect(second != ProductWork.layerSeed(seed, layer: 1, before: work.roots[1]))
    // Both layers computed at once, the second under a root made up: its tiles are not wanted.
    let matrices = Matrices(
      seed: ProductWork.layerSeed(seed, layer: 1, before: world.beacon), layer: 1, size: 128)
    let tree = MerkleTree(
      leafDigests: (0..<16).flatMap {
        MerkleTree.leafDigest(of: matrices.tileBytes(row: $0 / 4, column: $0 % 4)).bytes
      })
    let split = CommittedWork(roots: [work.roots[0], tree.root]) { layer, tile in
      layer == 0
        ? work.piece(root: 0, index: tile)
        : OpenedPiece(root: 1, index: tile, paths: [tree.path(to: tile)])
    }
    #expect(try refusal(finish(challenge, split)) == .wrongWork)
  }

  @Test("false-answer floods: what is malformed is refused before any work of the puzzle")
  func floods() async throws {
    for kind in [PuzzleKind.lane, .memory, .product] {
      let proof = try await world.solve(world.challenge(PoWWorld.puzzle(kind))).proof
      guard case .opened(let roots, let pieces) = proof.answer else { continue }
      let wrong: [Answer] = [
        .opened(roots: [], pieces: pieces), .opened(roots: roots, pieces: []),
        .opened(roots: roots, pieces: pieces + pieces), .sketch([1, 2, 3]),
        .opened(
          roots: roots,
          pieces: pieces.map { OpenedPiece(root: $0.root, index: $0.index, paths: []) }),
      ]
      for answer in wrong { #expect(try refusal(reseal(proof, answer)) == .wrongShape) }
      var out = pieces
      (out[0].root, out[0].index) = (.max, .min)
      #expect(try refusal(reseal(proof, .opened(roots: roots, pieces: out))) == .wrongOpening)
    }
    // A stranger's rubbish under a device's challenge does not use up the device's try.
    var desk = ProofDesk(world.verifier)
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(.hash))).proof
    let stranger = try Proof(proof.challenge, .sketch([1]), signedBy: .device(SigningKey()))
    let refused = try desk.submit(
      stranger, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 10)
    #expect(refused.refusal != nil)
    #expect(desk.count == 0)
    let honest = try desk.submit(
      proof, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 10)
    #expect(honest.isAccepted)
  }

  @Test(
    "flipped bits: no changed digest of an opened piece is accepted",
    arguments: [PuzzleKind.lane, .memory, .product])
  func flippedBits(kind: PuzzleKind) async throws {
    let proof = try await world.solve(world.challenge(PoWWorld.puzzle(kind))).proof
    guard case .opened(let roots, let pieces) = proof.answer else { return }
    var generator = SeededGenerator(state: 31)
    func flip(_ digest: Digest) -> Digest {
      var bytes = digest.bytes
      let place = Int.random(in: 0..<32, using: &generator)
      bytes[place] ^= 1 << Int.random(in: 0..<8, using: &generator)
      return Digest(bytes: bytes) ?? digest
    }
    for _ in 0..<40 {
      var changed = pieces
      let piece = Int.random(in: 0..<pieces.count, using: &generator)
      let path = Int.random(in: 0..<pieces[piece].paths.count, using: &generator)
      let place = Int.random(in: 0..<pieces[piece].paths[path].count, using: &generator)
      if !pieces[piece].values.isEmpty, Bool.random(using: &generator) {
        changed[piece].values[path] = flip(changed[piece].values[path])
      } else {
        changed[piece].paths[path][place] = flip(changed[piece].paths[path][place])
      }
      #expect(try refusal(reseal(proof, .opened(roots: roots, pieces: changed))) == .wrongWork)
    }
  }

  @Test("verifier killed in the middle: another with the same secret goes on, and marks nobody")
  func verifierKilled() async throws {
    var desk = ProofDesk(world.verifier)
    let challenge = try world.challenge(PoWWorld.puzzle(.lane))
    let (proof, made, _) = try await world.solve(challenge)
    let commitment = try #require(made)
    func commit(_ desk: inout ProofDesk) throws -> OpeningRequest {
      try desk.commit(
        commitment, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 700)
    }
    let request = try commit(&desk)
    // It keeps nothing but its secret: the device hands the same in again.
    var next = ProofDesk(Verifier(try PoWWorld().issuer))
    #expect(try commit(&next) == request)
    let verdict = try next.submit(
      proof, from: .anybody, epoch: PoWWorld.epoch, nowMilliseconds: PoWWorld.opens + 900)
    #expect(verdict.isAccepted)
  }
}
