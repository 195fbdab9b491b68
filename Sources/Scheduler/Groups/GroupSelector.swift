/// Chooses sites for a group so that its longest round trip is the shortest possible.
///
/// NP-hard in general, small in practice: sites are hundreds to few thousand. Balls around sites and
/// groups that grow from them enclose the answer (`BallSearch`); between the two bounds `LensSearch`
/// tries the pairs of sites by round trip. Where its steps run out, the best group found is given
/// with the gap to what was proved. Same input, same answer.
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
    let outcome = sites(devices: devices, maxRTTMilliseconds: limit, steps: steps) { _ in true }
    guard let group = outcome.group else { return nil }
    let shares = shares(of: group, devices: devices)
    let reached = matrix.longest(among: shares.map(\.site))
    return GroupChoice(
      shares: shares, maxRTTMilliseconds: reached,
      lowerBoundMilliseconds: min(outcome.lowerBound, reached))
  }

  /// Sites that together hold `devices` devices and of which `accepts` approves, with the shortest
  /// longest round trip. A single site is a group, too.
  ///
  /// - Parameter accepts: must approve of every group that contains one of which it approves.
  func sites(
    devices: Int, maxRTTMilliseconds limit: Float, steps: Int, accepts: ([Int]) -> Bool
  ) -> LensSearch.Outcome {
    let single = capacities.indices.filter { capacities[$0] >= devices }
      .sorted { (capacities[$0], $0) < (capacities[$1], $1) }
    if let site = single.first(where: { accepts([$0]) }) {
      return LensSearch.Outcome(group: [site], lowerBound: 0)
    }
    return withoutActuallyEscaping(accepts) { accepts in
      LensSearch(
        matrix: matrix, capacities: capacities, wanted: devices, limit: limit, steps: steps,
        accepts: accepts
      ).run()
    }
  }

  /// A site that holds them all; of several the one with the least room, so that larger requests
  /// find the others whole.
  private func tightestSite(for devices: Int) -> Int? {
    capacities.indices.filter { capacities[$0] >= devices }
      .min { (capacities[$0], $0) < (capacities[$1], $1) }
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
