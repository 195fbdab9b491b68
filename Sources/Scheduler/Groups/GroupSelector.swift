/// Chooses sites for a group so that its longest round trip is the shortest possible.
///
/// NP-hard in general, small in practice: sites are hundreds to few thousand. Bounds from balls
/// around sites and from greedy growth enclose the answer; between them a binary search over the
/// round trips that occur asks `CliqueSearch`. Where its steps run out, the best group found is
/// given with the gap to what was proved. Same input, same answer.
public struct GroupSelector: Sendable {
  private let matrix: LatencyMatrix
  private let capacities: [Int]

  /// - Parameters:
  ///   - capacities: free devices of each site; negative ones count as none.
  public init(_ matrix: LatencyMatrix, capacities: [Int]) {
    self.matrix = matrix
    self.capacities = (0..<matrix.count).map { site in
      site < capacities.count ? max(0, capacities[site]) : 0
    }
  }

  /// The group of `devices` devices with the shortest longest round trip.
  ///
  /// - Parameters:
  ///   - limit: no round trip of the group may be longer.
  ///   - steps: how many branches the exact search may look at in all.
  /// - Returns: `nil` where no such group was found.
  public func choose(
    devices: Int, maxRTTMilliseconds limit: Float = .infinity, steps: Int = 200_000
  ) -> GroupChoice? {
    guard devices > 0 else { return nil }
    if let site = tightestSite(for: devices) {
      return GroupChoice(
        shares: [GroupChoice.Share(site: site, devices: devices)], maxRTTMilliseconds: 0,
        lowerBoundMilliseconds: 0)
    }
    let balls = BallSearch(matrix, capacities: capacities, wanted: devices)
    guard let lower = balls.lowerBound, lower <= limit, lower < .infinity,
      let ball = balls.bestGroup
    else { return nil }
    let grown = balls.grownGroup ?? ball
    var best = matrix.longest(among: grown) < matrix.longest(among: ball) ? grown : ball
    var proved = lower
    var stepsLeft = steps
    let between = roundTrips(from: lower, below: matrix.longest(among: best))
    var low = 0
    var high = between.count
    while low < high {
      let middle = (low + high) / 2
      var search = CliqueSearch(
        matrix, capacities: capacities, wanted: devices, within: between[middle],
        steps: stepsLeft)
      let answer = search.run()
      stepsLeft = search.stepsLeft
      switch answer {
      case .found(let group):
        best = group
        let reached = matrix.longest(among: group)
        high = between[..<middle].partitioningIndex { $0 >= reached }
      case .none:
        low = middle + 1
        proved = max(proved, low < between.count ? between[low] : matrix.longest(among: best))
      case .unknown:
        low = middle + 1
      }
    }
    let reached = matrix.longest(among: best)
    guard reached <= limit, reached < .infinity else { return nil }
    return GroupChoice(
      shares: shares(of: best, devices: devices), maxRTTMilliseconds: reached,
      lowerBoundMilliseconds: min(proved, reached))
  }

  /// A site that holds them all; of several the one with the least room, so that larger requests
  /// find the others whole.
  private func tightestSite(for devices: Int) -> Int? {
    capacities.indices.filter { capacities[$0] >= devices }
      .min { (capacities[$0], $0) < (capacities[$1], $1) }
  }

  /// The distinct round trips between sites with devices in a range, ascending.
  private func roundTrips(from lower: Float, below upper: Float) -> [Float] {
    let sites = capacities.indices.filter { capacities[$0] > 0 }
    var values: Set<Float> = []
    for (index, left) in sites.enumerated() {
      for right in sites[..<index] {
        let value = matrix[left, right]
        if value >= lower, value < upper { values.insert(value) }
      }
    }
    return values.sorted()
  }

  /// Full sites first: what is left over is one site's, not all sites'.
  private func shares(of group: [Int], devices: Int) -> [GroupChoice.Share] {
    var left = devices
    var shares: [GroupChoice.Share] = []
    for site in group.sorted(by: { (-capacities[$0], $0) < (-capacities[$1], $1) })
    where left > 0 {
      let taken = min(left, capacities[site])
      shares.append(GroupChoice.Share(site: site, devices: taken))
      left -= taken
    }
    return shares.sorted { $0.site < $1.site }
  }
}

extension RandomAccessCollection {
  /// The first index from which on `belongsAfter` is true, in a collection sorted by it.
  func partitioningIndex(_ belongsAfter: (Element) -> Bool) -> Index {
    var low = startIndex
    var count = self.count
    while count > 0 {
      let half = count / 2
      let middle = index(low, offsetBy: half)
      if belongsAfter(self[middle]) {
        count = half
      } else {
        low = index(after: middle)
        count -= half + 1
      }
    }
    return low
  }
}
