/// The smallest digests of all that were tried: a sketch of fixed size from which the number of
/// tries can be told (bottom-K; Cohen and Kaplan, "Summarizing Data using Bottom-k Sketches",
/// PODC 2007). A prover can only hand in larger ones, and so only report less than it did.
struct BottomK: Sendable {
  let capacity: Int
  /// Digest (its first eight bytes) and nonce, ascending.
  private(set) var entries: [(value: UInt64, nonce: UInt64)] = []

  init(capacity: Int = HashPuzzle.sketchCount) {
    self.capacity = capacity
    entries.reserveCapacity(capacity + 1)
  }

  /// The largest first word that could still get in.
  var threshold: UInt32 {
    guard entries.count == capacity, let last = entries.last else { return .max }
    return UInt32(truncatingIfNeeded: last.value >> 32)
  }

  /// Takes a digest in where it is small enough.
  mutating func insert(_ value: UInt64, nonce: UInt64) {
    if entries.count == capacity, let last = entries.last, value >= last.value { return }
    var (low, high) = (0, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].value < value { low = middle + 1 } else { high = middle }
    }
    // A digest that is there already is the same nonce again.
    if low < entries.count, entries[low].value == value { return }
    entries.insert((value, nonce), at: low)
    if entries.count > capacity { entries.removeLast() }
  }

  /// Takes in what another sketch of the same search has.
  mutating func merge(_ other: BottomK) {
    for entry in other.entries { insert(entry.value, nonce: entry.nonce) }
  }

  /// How many digests were tried, without bias: `(K - 1) / u`, where u is the largest of the K as a
  /// fraction of all.
  static func estimate(count: Int, largest: UInt64) -> Double {
    Double(count - 1) / max(Double(largest) / 0x1p64, 0x1p-64)
  }
}
