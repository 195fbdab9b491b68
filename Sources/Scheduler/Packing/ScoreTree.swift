/// The scores of all nodes for one shape: a tree of maxima, 64 children a node of the tree, a byte
/// each. The best node, and of equals the first, is found in a few cache lines.
struct ScoreTree: Sendable {
  static let width = 64
  /// All levels one after the other. Level 0 holds the nodes' scores; each byte above is the maximum of
  /// 64 below.
  private var bytes: [UInt8]
  /// Where each level begins; enough for 64 to the power of 7 nodes.
  private let starts: SIMD8<Int>
  private let levelCount: Int

  init(count: Int) {
    var starts = SIMD8<Int>(repeating: 0)
    var (size, total, level) = (max(1, count), 0, 0)
    repeat {
      starts[level] = total
      level += 1
      size = (size + Self.width - 1) / Self.width
      total += size * Self.width
    } while size > 1
    self.starts = starts
    levelCount = level
    bytes = [UInt8](repeating: 0, count: total)
  }

  /// What it takes in memory, in bytes.
  var byteCount: Int { bytes.capacity }

  /// The scores of nodes, and the highest of each 64 of them.
  func withScores<Result>(
    _ body: (_ scores: UnsafeBufferPointer<UInt8>, _ blocks: UnsafeBufferPointer<UInt8>) -> Result
  ) -> Result {
    bytes.withUnsafeBufferPointer { bytes in
      guard levelCount > 1 else {
        let most = blockMaximum(0, 0)
        return withUnsafePointer(to: most) { body(bytes, UnsafeBufferPointer(start: $0, count: 1)) }
      }
      return body(bytes, UnsafeBufferPointer(rebasing: bytes[starts[1]...]))
    }
  }

  /// The highest score of a node and its neighbours in the same 64.
  func most(ofBlock block: Int) -> UInt8 {
    levelCount > 1 ? bytes[starts[1] + block] : blockMaximum(0, 0)
  }

  /// The same scores where their nodes are now; nodes that are new have none.
  func moved(_ move: RowMove) -> ScoreTree {
    var moved = ScoreTree(count: move.count)
    for run in move.runs {
      moved.bytes[run.new..<run.new + run.count] = bytes[run.old..<run.old + run.count]
    }
    for level in 0..<moved.levelCount - 1 {
      for block in 0..<(moved.starts[level + 1] - moved.starts[level]) / Self.width {
        moved.bytes[moved.starts[level + 1] + block] = moved.blockMaximum(level, block)
      }
    }
    return moved
  }

  /// The score of a node.
  subscript(node: Int) -> UInt8 { bytes[node] }

  mutating func set(_ score: UInt8, at node: Int) {
    var index = node
    var value = score
    for level in 0..<levelCount {
      let place = starts[level] + index
      let old = bytes[place]
      if old == value { return }
      bytes[place] = value
      guard level + 1 < levelCount else { return }
      let parent = index / Self.width
      let maximum = bytes[starts[level + 1] + parent]
      // Unless the block's maximum was this entry or becomes it, nothing above changes.
      if value < old {
        guard old == maximum else { return }
        value = blockMaximum(level, parent)
      } else {
        guard value > maximum else { return }
      }
      index = parent
    }
  }

  /// The first of the nodes with the highest score; `nil` where every score is 0.
  var best: Int? {
    var index = 0
    for level in (0..<levelCount).reversed() {
      guard let found = firstMaximum(level, index) else { return nil }
      index = found
    }
    return index
  }

  private func blockMaximum(_ level: Int, _ block: Int) -> UInt8 {
    let start = starts[level] + block * Self.width
    return bytes.withUnsafeBufferPointer { bytes in
      var maximum: UInt8 = 0
      for index in start..<start + Self.width { maximum = max(maximum, bytes[index]) }
      return maximum
    }
  }

  /// The first of a block's entries with its highest score, by its place in the level.
  private func firstMaximum(_ level: Int, _ block: Int) -> Int? {
    let maximum = blockMaximum(level, block)
    guard maximum > 0 else { return nil }
    let start = starts[level] + block * Self.width
    return bytes.withUnsafeBufferPointer { bytes in
      (start..<start + Self.width).first { bytes[$0] == maximum }.map { $0 - starts[level] }
    }
  }
}
