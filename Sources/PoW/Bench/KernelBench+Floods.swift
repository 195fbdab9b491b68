internal import Foundation
internal import IorunCore
internal import IorunCrypto

extension KernelBench {
  /// What a false answer costs the verifier, beside what solving costs a core: for each kind the
  /// dearest answer that a challenged device can hand in, sealed and of the right shape, so that the
  /// work itself has to be looked at. Rates are answers a second, of one core on each side; the ratio
  /// is how many false answers are checked in the time of one solution.
  func floodRows() throws -> [Row] {
    let issuer = try ChallengeIssuer(secret: [UInt8](repeating: 1, count: 32))
    let (verifier, key) = (Verifier(issuer), try SigningKey())
    guard let beacon = Digest(bytes: [UInt8](repeating: 2, count: 32)) else { return [] }
    let here = PeerID(high: 1, low: 1)
    let offer = try ProofSession.Offer(to: here, epoch: 1, beacon: beacon, key: key)
    let session = try ProofSession.accept(offer.hello, by: here, beacon: beacon).session
    // Rounds of about five seconds on one core.
    let puzzles: [Puzzle] = [
      .hash(try HashPuzzle(milliseconds: 5000)),
      .lane(try LanePuzzle(cores: 1, depth: 17, nodeSteps: 160)),
      .memory(try MemoryPuzzle(labels: 1 << 22, cores: 1, segments: 20_000)),
      .product(try ProductPuzzle(size: 8192, layers: 2)),
    ]
    return try puzzles.map { puzzle in
      let challenge = try issuer.challenge(
        puzzle, for: DeviceID(key), epoch: 1, beacon: beacon, round: 0, opensAtMilliseconds: 0,
        deadlineMilliseconds: 1000)
      let answer = try Self.falseAnswer(puzzle, challenge, issuer)
      let proof = try Proof(challenge, answer, signedBy: .session(session))
      let checked = rate(1) { _ in
        (0..<10).reduce(0) { count, _ in
          let verdict = try? verifier.verdict(
            on: proof, from: .session(session), epoch: 1, arrivalMilliseconds: 10)
          return count + (verdict?.isAccepted == false ? 1 : 0)
        }
      }
      return row(
        "verify/false/\(puzzle.kind.rawValue)", 1, checked, "answers/s",
        reference: ("solving it on one core", 1 / secondsToSolve(puzzle)))
    }
  }

  /// What a core needs for a puzzle, by the rate of its kernel in a short trial.
  private func secondsToSolve(_ puzzle: Puzzle) -> Double {
    switch puzzle {
    case .hash(let hash): return Double(hash.milliseconds) / 1000
    case .lane(let lane): return Double(lane.lanes * lane.steps) / chainRate()
    case .memory(let memory), .gpuMemory(let memory):
      // Without the time that memory takes: too little rather than too much.
      return Double(memory.steps + memory.labels * memory.labelSteps) / chainRate()
    case .product(let product):
      let size = 1024
      let matrices = Matrices(seed: [1, 2, 3, 4, 5, 6, 7, 8], layer: 0, size: size)
      var made = [Int8](repeating: 0, count: size * size)
      matrices.packColumns(from: 0, count: size, into: &made)
      let (columns, rows) = (made, matrices.packedRows(from: 0, count: 128))
      let rate = rate(1) { _ in
        var values = [Int32](repeating: 0, count: 128 * size)
        matrices.product(rows, columns, rows: 128, columns: size, into: &values)
        return 128 * size * size
      }
      return Double(product.multiplications) / rate
    }
  }

  private func chainRate() -> Double {
    let chain = Chain(seed: [UInt8](repeating: 1, count: 16))
    return rate(1) { _ in
      var states = [UInt32](repeating: 1, count: 24)
      chain.advance(&states, tags: [0, 1, 2], steps: 10_000)
      return 30_000
    }
  }

  /// An answer of the right shape that opens what was asked for, and has not done the work: it is
  /// found out as late as can be.
  private static func falseAnswer(
    _ puzzle: Puzzle, _ challenge: Challenge, _ issuer: ChallengeIssuer
  ) throws -> Answer {
    if case .hash = puzzle {
      // Any nonces, in the order of their digests: all are hashed, and show 256 tries.
      let search = HashSearch(prefix: challenge.hashPrefix, epoch: challenge.epoch)
      var sketch = BottomK()
      let nonces = (0..<UInt64(HashPuzzle.sketchCount)).map { $0 }
      for (value, nonce) in zip(search.values(of: nonces), nonces) {
        sketch.insert(value, nonce: nonce)
      }
      var wrong = sketch.entries.map(\.nonce)
      // The last two change places: what is wrong is found at the end.
      wrong.swapAt(wrong.count - 1, wrong.count - 2)
      return .sketch(wrong)
    }
    var roots = (0..<puzzle.rootCount).map { SHA256.digest(of: [UInt8($0 & 255)]) }
    var tree: MerkleTree?
    let leaf = SHA256.digest(of: [7])
    if case .memory(let memory) = puzzle {
      // A true tree over false states: only walking shows it.
      var leaves = [UInt8](repeating: 0, count: 0)
      leaves.reserveCapacity(32 * memory.leafCount)
      for _ in 0..<memory.leafCount { leaves += leaf.bytes }
      let made = MerkleTree(leaves: leaves, width: 32)
      roots = roots.map { _ in made.root }
      tree = made
    }
    let request = OpeningRequest(
      challenge: challenge, nonce: try issuer.openingNonce(for: challenge, roots: roots))
    let pieces = request.places.map { place in
      switch puzzle {
      case .hash: OpenedPiece(root: 0, index: 0, paths: [])
      case .lane(let lane):
        OpenedPiece(
          root: place.root, index: place.index,
          paths: [[Digest](repeating: leaf, count: lane.depth)])
      case .memory(let memory), .gpuMemory(let memory):
        {
          let first =
            place.index / memory.segments * (memory.segments + 1) + place.index % memory.segments
          return OpenedPiece(
            root: place.root, index: place.index, values: [leaf, leaf],
            paths: [first, first + 1].map { tree?.path(to: $0) ?? [] })
        }()
      case .product(let product):
        OpenedPiece(
          root: place.root, index: place.index,
          paths: [
            [Digest](
              repeating: leaf,
              count: product.tileCount.bitWidth - 1
                - product.tileCount.leadingZeroBitCount)
          ])
      }
    }
    return .opened(roots: roots, pieces: pieces)
  }
}
