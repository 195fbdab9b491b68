internal import IorunCore

extension Verifier {
  /// Computes the opened ways of lanes anew. The first goes alone: who hands in rubbish costs a
  /// fraction of an honest proof.
  func check(
    _ puzzle: LanePuzzle, _ challenge: Challenge, roots: [Digest], _ pieces: [OpenedPiece]
  ) throws {
    for piece in pieces {
      guard piece.values.isEmpty, piece.paths.count == 1, piece.paths[0].count == puzzle.depth
      else { throw Refusal.wrongShape }
    }
    for batch in [pieces.prefix(1), pieces.dropFirst(1)] where !batch.isEmpty {
      try check(Array(batch), puzzle, challenge, roots)
    }
  }

  private func check(
    _ pieces: [OpenedPiece], _ puzzle: LanePuzzle, _ challenge: Challenge, _ roots: [Digest]
  ) throws {
    let seed = challenge.seed.bytes
    let chain = Chain(seed: seed, kernel: kernels.chain)
    let tags = pieces.map { UInt32($0.root) }
    let trees = tags.map { LaneTree(seed: seed, lane: $0, depth: puzzle.depth) }
    // All ways in step, from the leaves up: the kernel interleaves them.
    var nodes = pieces.map { (1 << puzzle.depth) + $0.index }
    var labels: [[UInt8]] = []
    for level in 0...puzzle.depth {
      var states: [UInt32] = []
      for (number, piece) in pieces.enumerated() {
        let path = piece.paths[0]
        var inputs: [[UInt8]] = []
        if level == 0 {
          // The sibling of the node `up` levels above the leaf.
          for up in (0..<puzzle.depth).reversed() where nodes[number] >> up & 1 == 1 {
            inputs.append(path[up].bytes)
          }
        } else {
          let child = nodes[number]
          let sibling = path[level - 1].bytes
          inputs = child & 1 == 0 ? [labels[number], sibling] : [sibling, labels[number]]
          nodes[number] = child >> 1
        }
        states += trees[number].start(of: nodes[number], inputs: inputs)
      }
      chain.advance(&states, tags: tags, steps: UInt64(puzzle.nodeSteps))
      counted?(UInt64(pieces.count * puzzle.nodeSteps))
      labels = pieces.indices.map { Words.bytes(states[8 * $0..<8 * $0 + 8]) }
    }
    for (piece, label) in zip(pieces, labels) where roots[piece.root].bytes != label {
      throw Refusal.wrongWork
    }
  }

  /// Walks the opened segments anew, making each label that is met.
  func check(
    _ puzzle: MemoryPuzzle, _ challenge: Challenge, roots: [Digest], _ pieces: [OpenedPiece]
  ) throws {
    guard let tableSeed = challenge.tableSeed else { throw Refusal.wrongShape }
    for piece in pieces {
      guard piece.values.count == 2, piece.paths.count == 2 else { throw Refusal.wrongShape }
      let leaf =
        piece.index / puzzle.segments * (puzzle.segments + 1)
        + piece.index % puzzle.segments
      for side in 0..<2 {
        guard
          MerkleTree.isValid(
            piece.paths[side], leaf: MerkleTree.leafDigest(of: piece.values[side].bytes),
            index: leaf + side, count: puzzle.leafCount, root: roots[piece.root])
        else { throw Refusal.wrongWork }
      }
    }
    let seed = challenge.seed.bytes
    let tags = pieces.map {
      UInt32($0.root * MemoryPuzzle.walkersPerCore + $0.index / puzzle.segments)
    }
    for (piece, tag) in zip(pieces, tags) where piece.index % puzzle.segments == 0 {
      guard piece.values[0].bytes == Words.bytes(MemoryWork.start(seed: seed, walker: tag)) else {
        throw Refusal.wrongWork
      }
    }
    let first = min(1, pieces.count)
    for part in [0..<first, first..<pieces.count] {
      try walk(
        Array(pieces[part]), tags: Array(tags[part]), puzzle, seed: seed, tableSeed: tableSeed)
    }
  }

  /// Walks opened segments. As with lanes the first goes alone.
  private func walk(
    _ pieces: [OpenedPiece], tags: [UInt32], _ puzzle: MemoryPuzzle, seed: [UInt8],
    tableSeed: Digest
  ) throws {
    guard !pieces.isEmpty else { return }
    let walk = Chain(seed: seed, kernel: kernels.chain)
    let labels = Chain(seed: tableSeed.bytes, kernel: kernels.chain)
    let labelTags = [UInt32](repeating: Chain.labelTag, count: pieces.count)
    var states = pieces.flatMap { Words.words($0.values[0].bytes) }
    for _ in 0..<puzzle.segmentSteps {
      var label = pieces.indices.flatMap { number in
        Chain.labelStart(
          Chain.place(states[8 * number], states[8 * number + 1], of: UInt64(puzzle.labels)))
      }
      labels.advance(&label, tags: labelTags, steps: UInt64(puzzle.labelSteps))
      for word in states.indices { states[word] ^= label[word] }
      walk.advance(&states, tags: tags, steps: 1)
      counted?(UInt64(pieces.count * (puzzle.labelSteps + 1)))
    }
    for (number, piece) in pieces.enumerated() {
      guard Words.bytes(states[8 * number..<8 * number + 8]) == piece.values[1].bytes else {
        throw Refusal.wrongWork
      }
    }
  }

  /// Computes the opened tiles anew. That a prover multiplies with a vector of the verifier's proves
  /// nothing: A (B r) needs no product.
  func check(
    _ puzzle: ProductPuzzle, _ challenge: Challenge, roots: [Digest], _ pieces: [OpenedPiece]
  ) throws {
    let side = puzzle.size / Matrices.tile
    for piece in pieces {
      guard piece.values.isEmpty, piece.paths.count == 1 else { throw Refusal.wrongShape }
      let matrices = Matrices(
        seed: ProductWork.layerSeed(
          challenge.seed.bytes, layer: piece.root,
          before: piece.root > 0 ? roots[piece.root - 1] : nil),
        layer: piece.root, size: puzzle.size, kernel: kernels.product)
      let tile = matrices.tileBytes(row: piece.index / side, column: piece.index % side)
      counted?(UInt64(Matrices.tile * Matrices.tile * puzzle.size))
      guard
        MerkleTree.isValid(
          piece.paths[0], leaf: MerkleTree.leafDigest(of: tile), index: piece.index,
          count: puzzle.tileCount, root: roots[piece.root])
      else { throw Refusal.wrongWork }
    }
  }
}
