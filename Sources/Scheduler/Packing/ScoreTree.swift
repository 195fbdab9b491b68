/// The scores of all nodes for one shape: a tree of maxima, 64 children a node of the tree, a byte
/// each. The best node, and of equals the first, is found in a few cache lines.
struct ScoreTree: Sendable {
  private static let width = 64
  /// Level 0 holds the nodes' scores; each byte above is the maximum of 64 below.
  private var levels: [[UInt8]]

  init(count: Int) {
    levels = []
    var size = max(1, count)
    repeat {
      let padded = (size + Self.width - 1) / Self.width * Self.width
      levels.append([UInt8](repeating: 0, count: padded))
      size = padded / Self.width
    } while size > 1
  }

  /// What it takes in memory, in bytes.
  var byteCount: Int { levels.reduce(0) { $0 + $1.capacity } }

  /// The score of a node.
  subscript(node: Int) -> UInt8 { levels[0][node] }

  mutating func set(_ score: UInt8, at node: Int) {
    var index = node
    var value = score
    for level in levels.indices {
      let old = levels[level][index]
      if old == value { return }
      levels[level][index] = value
      let parent = index / Self.width
      // Unless the block's maximum was this entry or becomes it, nothing above changes.
      if value < old {
        value = blockMaximum(level, parent)
      } else if level + 1 < levels.count {
        value = max(value, levels[level + 1][parent])
      }
      index = parent
    }
  }

  /// The first of the nodes with the highest score; `nil` where every score is 0.
  var best: Int? {
    var index = 0
    for level in levels.indices.reversed() {
      let start = index * Self.width
      guard let found = firstMaximum(level, start) else { return nil }
      index = found
    }
    return index
  }

  private func blockMaximum(_ level: Int, _ block: Int) -> UInt8 {
    levels[level].withUnsafeBufferPointer { bytes in
      var maximum: UInt8 = 0
      for index in block * Self.width..<(block + 1) * Self.width {
        maximum = max(maximum, bytes[index])
      }
      return maximum
    }
  }

  private func firstMaximum(_ level: Int, _ start: Int) -> Int? {
    levels[level].withUnsafeBufferPointer { bytes in
      var maximum: UInt8 = 0
      for index in start..<start + Self.width { maximum = max(maximum, bytes[index]) }
      guard maximum > 0 else { return nil }
      return (start..<start + Self.width).first { bytes[$0] == maximum }
    }
  }
}
