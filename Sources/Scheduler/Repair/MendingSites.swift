internal import IorunCore

/// The sites that one gang's mending looks at: the network's, and one for each of some nodes of which
/// the site is not known.
struct MendingSites {
  /// The most nodes of no known site that are looked at.
  static let mostHomeless = 256

  private let known: NodeSites
  /// Sites of nodes of no known site.
  private var homeless: [PeerID: Int] = [:]
  private(set) var count: Int

  /// - Parameter needed: nodes of the gang; each has a site.
  init(_ known: NodeSites, needed: [PeerID]) {
    self.known = known
    count = known.matrix.count
    needed.forEach { add($0) }
  }

  /// Numbers a node of no known site; nothing for one that has a number.
  private mutating func add(_ node: PeerID) {
    guard self[node] == nil else { return }
    homeless[node] = count
    count += 1
  }

  /// The same as long as there are not too many.
  ///
  /// - Returns: false where there are.
  mutating func addSome(_ node: PeerID) -> Bool {
    guard homeless.count < Self.mostHomeless else { return false }
    add(node)
    return true
  }

  subscript(_ node: PeerID) -> Int? { known.siteOf[node] ?? homeless[node] }

  /// Nodes of no known site, with their numbers.
  var strangers: [PeerID: Int] { homeless }

  /// How many of the nodes each site has.
  func counts(_ nodes: some Sequence<PeerID>) -> [Int: Int] {
    nodes.reduce(into: [:]) { counts, node in
      if let site = self[node] { counts[site, default: 0] += 1 }
    }
  }
}
