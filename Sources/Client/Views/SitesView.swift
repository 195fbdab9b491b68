public import IorunContract
internal import IorunCore

/// Sites in JSON: `sites`.
public struct SitesView: Encodable, Sendable {
  let sites: [SiteView]

  /// One site.
  struct SiteView: Encodable, Sendable {
    let site: Int
    let nodes: [NodeName]
    let neighbours: [NeighbourView]
  }

  /// One node.
  struct NodeName: Encodable, Sendable {
    let id: String
    let name: String
  }

  /// Another site.
  struct NeighbourView: Encodable, Sendable {
    let site: Int
    let roundTripMilliseconds: Double
  }

  /// Shows sites; `nodes` gives their nodes' names.
  public init(_ sites: NetworkSites, nodes: [NodeStatus]) {
    let names = Dictionary(nodes.map { ($0.id, $0.facts.name) }) { $1 }
    self.sites = sites.sites.map { site in
      SiteView(
        site: site.number,
        nodes: site.nodes.map {
          NodeName(id: $0.description, name: names[$0] ?? $0.short)
        },
        neighbours: site.neighbours.map {
          NeighbourView(site: $0.site, roundTripMilliseconds: $0.roundTripMilliseconds)
        })
    }
  }
}
