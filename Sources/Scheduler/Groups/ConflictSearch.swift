/// Looks within a set of sites for a part of it that holds enough devices and in which every two
/// sites are near each other. Exact branch and bound over conflicts, the pairs that are not near:
/// a weighted vertex cover of the conflict graph with a bounded budget (Downey and Fellows'
/// reductions; the bound is a cover of the conflicts by cliques, Tomita and Seki, DMTCS 2003, seen
/// from the complement). Within a lens of two sites conflicts are few, so that this is quick where
/// a search for cliques in the graph of near pairs is not.
///
/// The first branch at each fork leaves out the site with the most conflicting devices: until the
/// first leaf that is the lens heuristic.
struct ConflictSearch {
  enum Answer {
    case found
    /// There is none: proved, up to what `accepts` says.
    case none
    /// The steps were used up.
    case unknown
  }

  private let words: Int
  private let devices: [Int]
  private let areAllOne: Bool
  /// Row by row: who is near whom.
  private(set) var near: [UInt64]
  /// The devices of each site and all sites near it.
  private(set) var devicesAround: [Int]
  /// The sets of the branch that is looked at, one a level.
  private var sets: [UInt64]
  private var conflicts: [Int]
  private(set) var stepsLeft = 0

  init(devices: [Int]) {
    self.devices = devices
    areAllOne = devices.allSatisfy { $0 == 1 }
    words = (devices.count + 63) / 64
    near = Array(repeating: 0, count: devices.count * words)
    devicesAround = devices
    sets = Array(repeating: 0, count: words)
    conflicts = Array(repeating: 0, count: devices.count)
  }

  /// Two sites are near each other from now on.
  mutating func join(_ left: Int, _ right: Int) {
    near[left * words + right >> 6] |= 1 << UInt64(right & 63)
    near[right * words + left >> 6] |= 1 << UInt64(left & 63)
    devicesAround[left] += devices[right]
    devicesAround[right] += devices[left]
  }

  /// The sites of the group that `run` found last, ascending.
  var found: [Int] { members(0) }

  /// Looks among the sites that are near both `left` and `right`, with these two, for `wanted` devices.
  ///
  /// - Parameters:
  ///   - steps: how many branches may be looked at.
  ///   - accepts: whether a group with enough devices will do. It must hold for every group that
  ///     contains one for which it holds.
  mutating func run(
    lens left: Int, _ right: Int, wanted: Int, steps: Int, accepts: ([Int]) -> Bool
  ) -> Answer {
    stepsLeft = steps
    var sum = devices[left] + devices[right]
    for word in 0..<words {
      sets[word] = near[left * words + word] & near[right * words + word]
      sum += weight(sets[word], word)
    }
    guard sum >= wanted else { return .none }
    sets[left >> 6] |= 1 << UInt64(left & 63)
    sets[right >> 6] |= 1 << UInt64(right & 63)
    return search(wanted: wanted, accepts)
  }

  /// What a branch comes to.
  private enum Branch {
    case found
    case dead
    /// The site with the most conflicts: with it or without it.
    case fork(Int)
  }

  /// Goes through the branches, depth first. By a stack of its own: branches may be as deep as there are
  /// sites.
  private mutating func search(wanted: Int, _ accepts: ([Int]) -> Bool) -> Answer {
    // The forks on the way down, one a level: the site that is left out, or -1 where it is in.
    var forks: [Int] = []
    while true {
      stepsLeft -= 1
      guard stepsLeft >= 0 else { return .unknown }
      switch look(level: forks.count, wanted: wanted, accepts) {
      case .found: return .found
      case .fork(let site):
        descend(from: forks.count, site, isIn: false)
        forks.append(site)
      case .dead:
        while forks.last == -1 { forks.removeLast() }
        guard let site = forks.popLast() else { return .none }
        descend(from: forks.count, site, isIn: true)
        forks.append(-1)
      }
    }
  }

  private mutating func look(
    level: Int, wanted: Int, _ accepts: ([Int]) -> Bool
  ) -> Branch {
    guard let worst = reduce(level, wanted: wanted) else { return .dead }
    if conflicts[worst] == 0 {
      guard accepts(members(level)) else { return .dead }
      for word in 0..<words { sets[word] = sets[level * words + word] }
      return .found
    }
    return conflictCover(level, wanted: wanted) ? .dead : .fork(worst)
  }

  /// Makes the set of the next level: without a site, or with it and so with its near ones only.
  private mutating func descend(from level: Int, _ site: Int, isIn: Bool) {
    let (base, next) = (level * words, (level + 1) * words)
    if sets.count < next + words { sets.append(contentsOf: repeatElement(0, count: words)) }
    for word in 0..<words {
      sets[next + word] =
        isIn ? sets[base + word] & near[site * words + word] : sets[base + word]
    }
    let bit: UInt64 = 1 << UInt64(site & 63)
    if isIn {
      sets[next + site >> 6] |= bit
    } else {
      sets[next + site >> 6] &= ~bit
    }
  }

  /// Drops the sites that conflict with more devices than can be spared, until there is none.
  ///
  /// - Returns: the site with the most conflicting devices; `nil` where too few devices are left.
  private mutating func reduce(_ level: Int, wanted: Int) -> Int? {
    let base = level * words
    var total = 0
    for word in 0..<words { total += weight(sets[base + word], word) }
    while true {
      guard total >= wanted, total > 0 else { return nil }
      var worst = -1
      var isStable = true
      for word in 0..<words {
        var bits = sets[base + word]
        while bits != 0 {
          let site = word << 6 + bits.trailingZeroBitCount
          bits &= bits &- 1
          var beside = devices[site]
          for other in 0..<words {
            beside += weight(sets[base + other] & near[site * words + other], other)
          }
          if beside < wanted {
            sets[base + word] &= ~(1 << UInt64(site & 63))
            total -= devices[site]
            guard total >= wanted else { return nil }
            isStable = false
          } else {
            conflicts[site] = total - beside
            if worst < 0 || conflicts[site] > conflicts[worst] { worst = site }
          }
        }
      }
      if isStable { return worst }
    }
  }

  /// True where the conflicts alone cost more devices than can be spared: of each set of sites that all
  /// conflict with each other only one can stay.
  private func conflictCover(_ level: Int, wanted: Int) -> Bool {
    let base = level * words
    var open = Array(sets[base..<base + words])
    var spare = -wanted
    for word in 0..<words { spare += weight(open[word], word) }
    for word in 0..<words {
      while open[word] != 0 {
        let first = word << 6 + open[word].trailingZeroBitCount
        open[word] &= open[word] &- 1
        guard conflicts[first] > 0 else { continue }
        var sum = devices[first]
        var largest = sum
        var candidates = open
        for other in word..<words { candidates[other] &= ~near[first * words + other] }
        for other in word..<words {
          while candidates[other] != 0 {
            let site = other << 6 + candidates[other].trailingZeroBitCount
            open[other] &= ~(1 << UInt64(site & 63))
            candidates[other] &= candidates[other] &- 1
            for rest in other..<words { candidates[rest] &= ~near[site * words + rest] }
            sum += devices[site]
            largest = max(largest, devices[site])
          }
        }
        spare -= sum - largest
        if spare < 0 { return true }
      }
    }
    return false
  }

  private func weight(_ bits: UInt64, _ word: Int) -> Int {
    if areAllOne { return bits.nonzeroBitCount }
    var bits = bits
    var sum = 0
    while bits != 0 {
      sum += devices[word << 6 + bits.trailingZeroBitCount]
      bits &= bits &- 1
    }
    return sum
  }

  private func members(_ level: Int) -> [Int] {
    var sites: [Int] = []
    for word in 0..<words {
      var bits = sets[level * words + word]
      while bits != 0 {
        sites.append(word << 6 + bits.trailingZeroBitCount)
        bits &= bits &- 1
      }
    }
    return sites
  }
}
