internal import IorunCore

/// Where the rows of an inventory are, kept until rows or sites change.
struct SiteRows: Sendable {
  /// The site of each row; -1 for a node of no known site.
  let site: [Int32]
  /// The rows of no known site, by their nodes' ids.
  let homeless: [Int]

  /// What it was built of. As long as nobody has changed it, it is compared by a look at its address.
  private var siteOf: [PeerID: Int]
  private var known: LatencyMatrix
  /// The matrix with so many more sites, of which no round trip is known.
  private var matrix: LatencyMatrix

  init(_ offers: [NodeOffer], _ sites: NodeSites) {
    siteOf = sites.siteOf
    known = sites.matrix
    matrix = sites.matrix
    site = offers.map { offer in sites.siteOf[offer.node].map { Int32($0) } ?? -1 }
    homeless = site.indices.filter { [site] in site[$0] < 0 }
      .sorted { offers[$0].node < offers[$1].node }
  }

  /// The same, if it is of these sites.
  func of(_ sites: NodeSites) -> SiteRows? {
    guard siteOf == sites.siteOf, known == sites.matrix else { return nil }
    var same = self
    // The next comparison finds its own address.
    (same.siteOf, same.known) = (sites.siteOf, sites.matrix)
    return same
  }

  /// The round trips of at least so many sites.
  mutating func matrix(ofAtLeast count: Int) -> LatencyMatrix {
    guard matrix.count < count else { return matrix }
    // A step each, so that gangs with some more or less of them share one.
    let step = 64
    let all = known.count + (count - known.count + step - 1) / step * step
    matrix = known.extended(to: all) ?? matrix
    return matrix
  }
}
