/// Groups around one site each: quick, and a bound from both sides.
struct BallSearch {
  private let sites: SiteTable
  private let wanted: Int
  /// For each site: the round trip within which the wanted number of devices is; infinite where they
  /// are not.
  let radii: [Float]

  /// How many sites a group is grown from: the ones with the smallest balls.
  private static let grownStarts = 12

  init(_ sites: SiteTable, wanted: Int) {
    self.sites = sites
    self.wanted = wanted
    var order = RoundTripOrder(count: sites.count)
    radii = (0..<sites.count).map { centre in
      order.sort(sites.roundTrips(of: centre))
      var devices = 0
      for index in 0..<sites.count {
        let site = order.site(index)
        guard sites[centre, site] < .infinity else { return .infinity }
        devices += sites.devices[site]
        if devices >= wanted { return sites[centre, site] }
      }
      return .infinity
    }
  }

  /// Each member of a group has the whole group within the group's longest round trip: that cannot
  /// be shorter than the smallest ball. Infinite where there are not enough devices.
  var lowerBound: Float { radii.min() ?? .infinity }

  /// The best of all balls and of the groups that grow from the smallest ones; `nil` where there are
  /// not enough devices in reach of each other.
  var bestGroup: (longest: Float, sites: [Int])? {
    let centres = radii.indices.filter { radii[$0] < .infinity }
      .sorted { (radii[$0], $0) < (radii[$1], $1) }
    var best: (longest: Float, sites: [Int]) = (.infinity, [])
    for centre in centres where radii[centre] < best.longest {
      let ball = (0..<sites.count).filter { sites[centre, $0] <= radii[centre] }
      let longest = longest(among: ball, below: best.longest)
      if longest < best.longest { best = (longest, ball) }
    }
    for centre in centres.prefix(Self.grownStarts) where radii[centre] < best.longest {
      if let grown = grown(from: centre, below: best.longest) { best = grown }
    }
    return best.longest < .infinity ? best : nil
  }

  /// The longest round trip among `group`, or some value of at least `bound`.
  private func longest(among group: [Int], below bound: Float) -> Float {
    var longest: Float = 0
    for (index, left) in group.enumerated() {
      for right in group[..<index] { longest = max(longest, sites[left, right]) }
      if longest >= bound { break }
    }
    return longest
  }

  /// The group that grows by whatever makes it least longer; `nil` where it gets no shorter than
  /// `bound`.
  private func grown(from start: Int, below bound: Float) -> (longest: Float, sites: [Int])? {
    var group = [start]
    var devices = sites.devices[start]
    var reach = Array(sites.roundTrips(of: start))
    reach[start] = .infinity
    var longest: Float = 0
    while devices < wanted {
      var next = 0
      for site in reach.indices where reach[site] < reach[next] { next = site }
      longest = max(longest, reach[next])
      guard longest < bound else { return nil }
      group.append(next)
      devices += sites.devices[next]
      reach[next] = .infinity
      let row = sites.roundTrips(of: next)
      let first = row.startIndex
      // What was taken stays infinite: the greater of the two always is.
      for site in reach.indices { reach[site] = max(reach[site], row[first + site]) }
    }
    return (longest, group)
  }
}

/// Sorts sites by round trip, again and again in the same memory.
private struct RoundTripOrder {
  /// The round trip's bits above the site's number: floats from 0 up order as their bits do.
  private var keys: [UInt64]

  init(count: Int) { keys = Array(repeating: 0, count: count) }

  mutating func sort(_ roundTrips: ArraySlice<Float>) {
    for (site, value) in roundTrips.enumerated() {
      keys[site] = UInt64(value.bitPattern) << 32 | UInt64(site)
    }
    keys.sort()
  }

  func site(_ index: Int) -> Int { Int(keys[index] & 0xFFFF_FFFF) }
}
