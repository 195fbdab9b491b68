internal import IorunContract
internal import IorunCore
internal import IorunScheduler

extension NetworkSites {
  private static let mostNeighbours = 16

  /// The sites of nodes that have not left, in the contract's words.
  init(_ sites: NodeSites, nodes: [NodeSnapshot]) {
    var members: [Int: [PeerID]] = [:]
    for node in nodes.prefix(Self.mostNodes) where node.state.mayComeBack {
      guard let site = sites.siteOf[node.id] else { continue }
      members[site, default: []].append(node.id)
    }
    let order = members.keys.sorted { left, right in
      let (fewer, more) = (members[left]?.count ?? 0, members[right]?.count ?? 0)
      return fewer == more ? left < right : fewer > more
    }
    self.init(
      sites: order.map { site in
        let near = order.filter { $0 != site && sites.matrix[site, $0] < .infinity }
          .map { Neighbour(site: $0, roundTripMilliseconds: Double(sites.matrix[site, $0])) }
          .sorted { ($0.roundTripMilliseconds, $0.site) < ($1.roundTripMilliseconds, $1.site) }
        return Site(
          number: site, nodes: members[site] ?? [],
          neighbours: Array(near.prefix(Self.mostNeighbours)))
      })
  }
}
