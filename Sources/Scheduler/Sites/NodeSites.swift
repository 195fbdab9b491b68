public import IorunCore

/// The sites of a network's nodes at one moment, as placement and people look at them.
public struct NodeSites: Sendable {
  /// A node's site, by its row in the matrix.
  public private(set) var siteOf: [PeerID: Int]
  /// Round trips between sites.
  public private(set) var matrix: LatencyMatrix

  /// Describes sites; a site beyond the matrix counts as none.
  public init(siteOf: [PeerID: Int] = [:], matrix: LatencyMatrix? = nil) {
    let matrix = matrix ?? .empty
    self.matrix = matrix
    self.siteOf = siteOf.filter { matrix.hasSite($0.value) }
  }

  /// The round trip between two nodes in milliseconds; 0 within a site, `nil` where it is not known.
  public func roundTrip(_ one: PeerID, _ other: PeerID) -> Float? {
    if one == other { return 0 }
    guard let here = siteOf[one], let there = siteOf[other] else { return nil }
    let value = matrix[here, there]
    return value < .infinity ? value : nil
  }

  /// The longest round trip between two of the nodes; `nil` where one is not known.
  public func longest(among nodes: some Sequence<PeerID>) -> Float? {
    var sites: Set<Int> = []
    var homeless = 0
    for node in Set(nodes) {
      if let site = siteOf[node] { sites.insert(site) } else { homeless += 1 }
    }
    guard homeless == 0 || homeless == 1 && sites.isEmpty else { return nil }
    let longest = matrix.longest(among: sites.sorted())
    return longest < .infinity ? longest : nil
  }
}

extension LatencyMatrix {
  func hasSite(_ site: Int) -> Bool { site >= 0 && site < count }
}
