internal import IorunCore

/// The kinds of work.
public enum PuzzleKind: String, Codable, Sendable, CaseIterable {
  /// Hashes a second: a rate that many slow cores, or a GPU, can give as well.
  case hash = "cpu.hash"
  /// Cores with a core's latency, which no GPU has.
  case lane = "cpu.lane"
  /// Memory that is there, and near.
  case memory = "mem"
  /// Exact products of matrices: the rate of a GPU.
  case product = "gpu.mm"
  /// Memory of the GPU that is there, and near, while it multiplies.
  case gpuMemory = "gpu.mem"
}

/// What a challenge asks for, with its sizes. All sizes have bounds, checked before anything is
/// computed or allocated.
public enum Puzzle: Hashable, Sendable {
  /// See ``HashPuzzle``.
  case hash(HashPuzzle)
  /// See ``LanePuzzle``.
  case lane(LanePuzzle)
  /// See ``MemoryPuzzle``.
  case memory(MemoryPuzzle)
  /// See ``ProductPuzzle``.
  case product(ProductPuzzle)
  /// See ``MemoryPuzzle``: the same work over the memory of a GPU, with as many groups of walkers
  /// as the puzzle has cores. Asked for at the same instant as a product.
  case gpuMemory(MemoryPuzzle)

  /// The kind.
  public var kind: PuzzleKind {
    switch self {
    case .hash: .hash
    case .lane: .lane
    case .memory: .memory
    case .product: .product
    case .gpuMemory: .gpuMemory
    }
  }

  /// How many roots a commitment to an answer has: 0 where there is nothing to commit to.
  public var rootCount: Int {
    switch self {
    case .hash: 0
    case .lane(let puzzle): puzzle.lanes
    case .memory(let puzzle), .gpuMemory(let puzzle): puzzle.cores
    case .product(let puzzle): puzzle.layers
    }
  }

  /// How many pieces of the work the verifier looks at after the commitment.
  public var openings: Int {
    switch self {
    case .hash: 0
    case .lane(let puzzle): puzzle.openings
    case .memory(let puzzle), .gpuMemory(let puzzle): puzzle.openings
    case .product(let puzzle): puzzle.openings
    }
  }

  /// Bytes of memory that solving takes, without small change.
  public var memoryByteCount: Int {
    switch self {
    case .hash: 1 << 20
    case .lane(let puzzle): puzzle.lanes * (32 << (puzzle.depth + 1))
    case .memory(let puzzle), .gpuMemory(let puzzle):
      puzzle.labels * 32 + 3 * 32 * puzzle.leafCount * puzzle.cores
    case .product(let puzzle):
      puzzle.size * puzzle.size + 2 * 32 * puzzle.tileCount * puzzle.layers
    }
  }

  /// Bytes of the machine's own memory where a GPU does the work: the trees. The same as
  /// ``memoryByteCount`` for what no GPU does.
  var hostByteCountWithGPU: Int {
    switch self {
    case .product(let puzzle): 2 * 32 * puzzle.tileCount * puzzle.layers
    case .gpuMemory(let puzzle): 3 * 32 * puzzle.leafCount * puzzle.cores
    case .hash, .lane, .memory: memoryByteCount
    }
  }

  /// Names and values in the order of the canonical text.
  var fields: [(name: String, value: Int)] {
    switch self {
    case .hash(let puzzle): [("milliseconds", puzzle.milliseconds)]
    case .lane(let puzzle):
      [
        ("cores", puzzle.cores), ("depth", puzzle.depth), ("node_steps", puzzle.nodeSteps),
        ("openings", puzzle.openings),
      ]
    case .memory(let puzzle), .gpuMemory(let puzzle):
      [
        ("labels", puzzle.labels), ("label_steps", puzzle.labelSteps), ("cores", puzzle.cores),
        ("segments", puzzle.segments), ("segment_steps", puzzle.segmentSteps),
        ("openings", puzzle.openings),
      ]
    case .product(let puzzle):
      [("size", puzzle.size), ("layers", puzzle.layers), ("openings", puzzle.openings)]
    }
  }
}

/// Search for a given time, and hand in the 256 smallest digests of all that were tried.
public struct HashPuzzle: Hashable, Sendable {
  /// How long the prover searches, by its own clock.
  public let milliseconds: Int

  /// How many digests a sketch has: the estimate of the rate then has a deviation of 6.3 %.
  public static let sketchCount = 256
  /// What is accepted: up to two minutes.
  public static let allowedMilliseconds = 1...120_000

  /// Throws `malformed` outside ``allowedMilliseconds``.
  public init(milliseconds: Int) throws {
    try Limit.check(milliseconds, in: Self.allowedMilliseconds, "milliseconds")
    self.milliseconds = milliseconds
  }
}

/// Take three interleaved lanes of sequential work on every core. A lane is a proof of sequential
/// work (Cohen and Pietrzak, "Simple Proofs of Sequential Work", EUROCRYPT 2018), whose nodes are
/// chains: independent pieces that a GPU could do side by side fail at the openings.
public struct LanePuzzle: Hashable, Sendable {
  /// Claimed cores.
  public let cores: Int
  /// Depth of a lane's tree; it has `2^(depth + 1) - 1` nodes.
  public let depth: Int
  /// Steps of the chain in each node.
  public let nodeSteps: Int
  /// How many leaves are opened, over all lanes.
  public let openings: Int

  /// Lanes a core: two cost no more than one, three take what is left of the pipe.
  public static let lanesPerCore = 3
  /// What is accepted.
  public static let allowedCores = 1...512
  /// What is accepted: a lane's labels take at most 32 MiB.
  public static let allowedDepth = 1...19
  /// What is accepted.
  public static let allowedNodeSteps = 1...65_536
  /// What is accepted; checking costs `openings * (depth + 1) * nodeSteps` hashes.
  public static let allowedOpenings = 1...64

  /// Throws `malformed` outside what is allowed.
  public init(cores: Int, depth: Int, nodeSteps: Int, openings: Int = 32) throws {
    try Limit.check(cores, in: Self.allowedCores, "cores")
    try Limit.check(depth, in: Self.allowedDepth, "depth")
    try Limit.check(nodeSteps, in: Self.allowedNodeSteps, "node_steps")
    try Limit.check(openings, in: Self.allowedOpenings, "openings")
    (self.cores, self.depth) = (cores, depth)
    (self.nodeSteps, self.openings) = (nodeSteps, openings)
  }

  /// Lanes of about so many steps each, cut so that a node takes a hundred or more: its own cost is
  /// small then. A false answer, which its first way gives away, costs the verifier
  /// `(depth + 1) / (3 * cores * 2^(depth + 1))` of the work: 1/12,288 for a core's lanes from
  /// 2^22 steps on, of which a core with SHA instructions does more in a second. Throws `malformed`.
  public init(cores: Int, stepsOfLane steps: Int, openings: Int = 32) throws {
    var depth = 1
    // Fifteen levels are enough for that; beyond, larger nodes are worth more.
    while depth < 16, steps >> (depth + 1) >= (depth < 15 ? 128 : 256) { depth += 1 }
    let nodeSteps = max(1, min(steps / ((2 << depth) - 1), Self.allowedNodeSteps.upperBound))
    try self.init(cores: cores, depth: depth, nodeSteps: nodeSteps, openings: openings)
  }

  /// All lanes.
  public var lanes: Int { Self.lanesPerCore * cores }
  /// Nodes of a lane's tree.
  public var nodes: Int { (2 << depth) - 1 }
  /// Steps of one lane, one after the other.
  public var steps: Int { nodes * nodeSteps }
}

/// Fill memory with labels that are slow to make anew, then walk over them at random.
public struct MemoryPuzzle: Hashable, Sendable {
  /// How many labels of 32 bytes.
  public let labels: Int
  /// Steps of the chain behind a label: what a label costs whoever did not keep it.
  public let labelSteps: Int
  /// Cores that walk; on a GPU groups of walkers.
  public let cores: Int
  /// Segments of a walker's way; the states between them are committed to.
  public let segments: Int
  /// Steps of a segment.
  public let segmentSteps: Int
  /// How many segments are opened.
  public let openings: Int

  /// Walkers a core: so many reads are under way at once.
  public static let walkersPerCore = 48
  /// What is accepted: 32 KiB to 4 TiB.
  public static let allowedLabels = 1024...(1 << 37)
  /// What is accepted.
  public static let allowedLabelSteps = 1...256
  /// What is accepted.
  public static let allowedCores = 1...4096
  /// What is accepted: a core's leaves take at most 2^22 digests.
  public static let allowedSegments = 1...(1 << 16)
  /// What is accepted.
  public static let allowedSegmentSteps = 1...4096
  /// What is accepted; checking costs `openings * segmentSteps * (labelSteps + 1)` hashes.
  public static let allowedOpenings = 1...64

  /// Throws `malformed` outside what is allowed.
  public init(
    labels: Int, labelSteps: Int = 32, cores: Int, segments: Int, segmentSteps: Int = 64,
    openings: Int = 16
  ) throws {
    try Limit.check(labels, in: Self.allowedLabels, "labels")
    try Limit.check(labelSteps, in: Self.allowedLabelSteps, "label_steps")
    try Limit.check(cores, in: Self.allowedCores, "cores")
    try Limit.check(segments, in: Self.allowedSegments, "segments")
    try Limit.check(segmentSteps, in: Self.allowedSegmentSteps, "segment_steps")
    try Limit.check(openings, in: Self.allowedOpenings, "openings")
    (self.labels, self.labelSteps, self.cores) = (labels, labelSteps, cores)
    (self.segments, self.segmentSteps, self.openings) = (segments, segmentSteps, openings)
  }

  /// Leaves of a core's tree: the states between segments, and the first, of each walker.
  public var leafCount: Int { Self.walkersPerCore * (segments + 1) }
  /// Steps of all walkers.
  public var steps: Int { cores * Self.walkersPerCore * segments * segmentSteps }
}

/// Multiply seeded matrices of bytes exactly, layer after layer; each layer's seed needs the root
/// over the layer before.
public struct ProductPuzzle: Hashable, Sendable {
  /// Rows and columns of the matrices.
  public let size: Int
  /// How many products, one after the other.
  public let layers: Int
  /// How many tiles, over all layers, the verifier computes itself.
  public let openings: Int

  /// What is accepted, in steps of 128.
  public static let allowedSize = 128...32_768
  /// What is accepted; all layers together have at most ``mostTiles``.
  public static let allowedLayers = 1...1024
  /// Tiles of all layers: their trees take at most 2 GiB, and a round of the largest matrices is some
  /// seconds of the fastest GPUs.
  public static let mostTiles = 1 << 25
  /// What is accepted.
  public static let allowedOpenings = 1...128

  /// Throws `malformed` outside what is allowed.
  public init(size: Int, layers: Int = 1, openings: Int = 64) throws {
    try Limit.check(size, in: Self.allowedSize, "size")
    try Limit.check(layers, in: Self.allowedLayers, "layers")
    try Limit.check(openings, in: Self.allowedOpenings, "openings")
    (self.size, self.layers, self.openings) = (size, layers, openings)
    try Limit.check(size % 128, in: 0...0, "size modulo 128")
    try Limit.check(tileCount * layers, in: 1...Self.mostTiles, "tiles")
  }

  /// Tiles of one layer.
  public var tileCount: Int { (size / Matrices.tile) * (size / Matrices.tile) }
  /// Multiplications of all layers.
  public var multiplications: Int { size * size * size * layers }
}

/// The check of one size.
enum Limit {
  static func check(_ value: Int, in allowed: ClosedRange<Int>, _ name: String) throws {
    guard allowed.contains(value) else {
      throw IorunError(
        .malformed,
        "a puzzle with \(name) \(value); \(allowed.lowerBound) to \(allowed.upperBound) are allowed",
        remedy: "Ask for a new challenge")
    }
  }
}
