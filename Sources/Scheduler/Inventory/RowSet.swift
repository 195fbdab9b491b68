/// A set of rows of an inventory, a bit each: 64 rows a word.
struct RowSet: Sendable, Equatable {
  /// How many rows a word holds.
  static let width = 64

  private(set) var words: [UInt64]

  /// A set without rows, for so many.
  init(count: Int) {
    words = Array(repeating: 0, count: (count + Self.width - 1) / Self.width)
  }

  func contains(_ row: Int) -> Bool {
    words[row / Self.width] >> UInt64(row % Self.width) & 1 == 1
  }

  mutating func insert(_ row: Int) { words[row / Self.width] |= 1 << UInt64(row % Self.width) }

  mutating func remove(_ row: Int) { words[row / Self.width] &= ~(1 << UInt64(row % Self.width)) }

  /// The same rows where they have moved to; rows that left are not in it.
  func moved(_ move: RowMove) -> RowSet {
    var moved = RowSet(count: move.count)
    for run in move.runs {
      var done = 0
      while done < run.count {
        let row = run.new + done
        let size = min(Self.width - row % Self.width, run.count - done)
        moved.words[row / Self.width] |=
          bits(from: run.old + done, count: size) << UInt64(row % Self.width)
        done += size
      }
    }
    return moved
  }

  /// Up to a word's width of bits from any row on.
  private func bits(from row: Int, count: Int) -> UInt64 {
    let (word, shift) = (row / Self.width, UInt64(row % Self.width))
    var bits = words[word] >> shift
    if shift > 0, word + 1 < words.count { bits |= words[word + 1] << (64 - shift) }
    return count < Self.width ? bits & (1 << UInt64(count) - 1) : bits
  }
}

/// The rows of a word's set bits, ascending.
struct SetBits: Sequence, IteratorProtocol {
  private var left: UInt64
  private let base: Int

  init(_ word: UInt64, base: Int) {
    left = word
    self.base = base
  }

  mutating func next() -> Int? {
    guard left != 0 else { return nil }
    let bit = left.trailingZeroBitCount
    left &= left - 1
    return base + bit
  }
}

/// Where the rows of an inventory go when nodes join and leave: in runs, since most stay neighbours.
struct RowMove {
  /// Rows that stay side by side.
  struct Run {
    var old: Int
    var new: Int
    var count: Int
  }

  /// How many rows there are from now on.
  let count: Int
  private(set) var runs: [Run] = []

  /// - Parameter before: by new row the row before, or -1 for a node that is new; rows keep their order.
  init(_ before: [Int]) {
    count = before.count
    for (new, old) in before.enumerated() where old >= 0 {
      if let last = runs.last, last.old + last.count == old, last.new + last.count == new {
        runs[runs.count - 1].count += 1
      } else {
        runs.append(Run(old: old, new: new, count: 1))
      }
    }
  }

  /// A column with its values where their rows are now.
  func moved<Value>(_ column: [Value], new value: Value) -> [Value] {
    var moved = Array(repeating: value, count: count)
    for run in runs {
      moved[run.new..<run.new + run.count] = column[run.old..<run.old + run.count]
    }
    return moved
  }
}
