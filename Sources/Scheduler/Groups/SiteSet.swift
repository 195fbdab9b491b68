/// A set of sites as bits, with the few operations that the search for groups repeats.
struct SiteSet: Sendable, Hashable {
  private(set) var words: [UInt64]

  init(capacity: Int) { words = Array(repeating: 0, count: (capacity + 63) / 64) }

  var isEmpty: Bool { words.allSatisfy { $0 == 0 } }

  func contains(_ site: Int) -> Bool { words[site >> 6] >> UInt64(site & 63) & 1 == 1 }

  mutating func insert(_ site: Int) { words[site >> 6] |= 1 << UInt64(site & 63) }

  mutating func remove(_ site: Int) { words[site >> 6] &= ~(1 << UInt64(site & 63)) }

  mutating func formIntersection(_ other: SiteSet) {
    for index in words.indices { words[index] &= other.words[index] }
  }

  mutating func subtract(_ other: SiteSet) {
    for index in words.indices { words[index] &= ~other.words[index] }
  }

  func intersection(_ other: SiteSet) -> SiteSet {
    var result = self
    result.formIntersection(other)
    return result
  }

  /// The lowest site of the set.
  var first: Int? {
    for index in words.indices where words[index] != 0 {
      return index << 6 + words[index].trailingZeroBitCount
    }
    return nil
  }

  /// Calls `body` with each site, ascending.
  func forEach(_ body: (Int) -> Void) {
    for index in words.indices {
      var word = words[index]
      while word != 0 {
        body(index << 6 + word.trailingZeroBitCount)
        word &= word &- 1
      }
    }
  }

  /// The sites, ascending.
  var sites: [Int] {
    var sites: [Int] = []
    forEach { sites.append($0) }
    return sites
  }

  /// The devices of all its sites.
  func devices(_ capacities: [Int]) -> Int {
    var sum = 0
    forEach { sum += capacities[$0] }
    return sum
  }

  /// The devices of the sites that are in both sets.
  func devices(_ capacities: [Int], within other: SiteSet) -> Int {
    var sum = 0
    for index in words.indices {
      var word = words[index] & other.words[index]
      while word != 0 {
        sum += capacities[index << 6 + word.trailingZeroBitCount]
        word &= word &- 1
      }
    }
    return sum
  }
}
