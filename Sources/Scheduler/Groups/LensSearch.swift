/// Finds the group whose longest round trip is the shortest: every pair of sites, from the shortest
/// round trip that can be the answer's longest one upwards, is tried as the group's farthest pair. What
/// is within that round trip of both is their lens, and `ConflictSearch` looks for the group there.
///
/// The first find is the optimum, and each pair that was passed proves that no shorter round trip
/// will do. Where the steps run out, the proof stands still and the search goes on by the heuristic.
struct LensSearch {
  /// What was found.
  struct Outcome {
    /// The group, by row of the matrix; `nil` where none was found.
    var group: [Int]?
    /// No group has a shorter longest round trip. Infinite where there is proved to be none at all.
    var lowerBound: Float
  }

  private static let heuristicSteps = 600

  let matrix: LatencyMatrix
  let capacities: [Int]
  let wanted: Int
  let limit: Float
  let steps: Int
  /// Whether a group with enough devices will do, by row of the matrix.
  let accepts: ([Int]) -> Bool

  func run() -> Outcome {
    let all = SiteTable(matrix, capacities: capacities)
    let balls = BallSearch(all, wanted: wanted)
    guard balls.lowerBound <= limit, balls.lowerBound < .infinity else {
      return Outcome(group: nil, lowerBound: balls.lowerBound)
    }
    let ball = balls.bestGroup.flatMap { group in
      group.longest <= limit && accepts(group.sites.map { all.rows[$0] }) ? group : nil
    }
    // Only what is shorter than the ball is of interest; without one, all within the limit.
    let end = ball?.longest ?? limit.nextUp
    let near = SiteTable(all) { balls.radii[$0] < end }
    let outcome = sweep(near, from: balls.lowerBound, below: end)
    if outcome.group != nil { return outcome }
    guard let ball else { return outcome }
    return Outcome(
      group: ball.sites.map { all.rows[$0] }, lowerBound: min(outcome.lowerBound, ball.longest))
  }

  private func sweep(_ sites: SiteTable, from lower: Float, below upper: Float) -> Outcome {
    var search = ConflictSearch(devices: sites.devices)
    var stepsLeft = steps
    var proved: Float?
    for key in Self.pairs(sites, from: lower, below: upper, join: { search.join($0, $1) }) {
      let (left, right) = (Int(key >> 16 & 0xFFFF), Int(key & 0xFFFF))
      search.join(left, right)
      guard search.devicesAround[left] >= wanted, search.devicesAround[right] >= wanted else {
        continue
      }
      let isExact = stepsLeft > 0
      let given = isExact ? stepsLeft : Self.heuristicSteps
      let answer = search.run(lens: left, right, wanted: wanted, steps: given) { group in
        accepts(group.map { sites.rows[$0] })
      }
      if isExact { stepsLeft = max(0, search.stepsLeft) }
      switch answer {
      case .found:
        let group = search.found.map { sites.rows[$0] }
        return Outcome(group: group, lowerBound: proved ?? matrix.longest(among: group))
      case .none: break
      case .unknown: proved = proved ?? sites[left, right]
      }
    }
    return Outcome(group: nil, lowerBound: proved ?? upper)
  }

  /// The pairs in a range of round trips, ascending: the round trip's bits above both numbers. Shorter
  /// ones are joined at once.
  private static func pairs(
    _ sites: SiteTable, from lower: Float, below upper: Float, join: (Int, Int) -> Void
  ) -> [UInt64] {
    var keys: [UInt64] = []
    for left in 0..<sites.count {
      for right in 0..<left {
        let value = sites[left, right]
        guard value < upper, value < .infinity else { continue }
        if value < lower {
          join(left, right)
        } else {
          keys.append(UInt64(value.bitPattern) << 32 | UInt64(left) << 16 | UInt64(right))
        }
      }
    }
    keys.sort()
    return keys
  }
}
