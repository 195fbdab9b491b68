public import IorunCore

/// The sites of a network: nodes within which latency does not matter, and how far sites are apart.
public struct NetworkSites: Hashable, Codable, Sendable {
  /// One site.
  public struct Site: Hashable, Codable, Sendable {
    /// Its number at this moment.
    public var number: Int
    /// Its nodes.
    public var nodes: [PeerID]
    /// The nearest other sites, at most 16, the nearest first.
    public var neighbours: [Neighbour]

    /// Describes a site.
    public init(number: Int, nodes: [PeerID], neighbours: [Neighbour]) {
      self.number = number
      self.nodes = nodes
      self.neighbours = neighbours
    }
  }

  /// Another site.
  public struct Neighbour: Hashable, Codable, Sendable {
    /// Its number.
    public var site: Int
    /// The round trip to it, in milliseconds.
    public var roundTripMilliseconds: Double

    /// Describes a neighbour.
    public init(site: Int, roundTripMilliseconds: Double) {
      self.site = site
      self.roundTripMilliseconds = roundTripMilliseconds
    }
  }

  /// The most nodes that one answer names.
  public static let mostNodes = 10_000

  /// The largest first.
  public var sites: [Site]

  /// Describes sites.
  public init(sites: [Site]) { self.sites = sites }
}
