public import IorunCore

/// Which peers live behind which adjacent peer, and which of them may speak to each other through
/// this process. Executors of one gang form a group; beside these, pairs may speak to each other that
/// are named one by one: a client and the node that runs its rank. Nobody else is relayed.
public struct RelayTable: Sendable, Hashable {
  /// One peer behind an adjacent one.
  public struct Route: Sendable, Hashable {
    /// The adjacent peer that vouches for it, or the peer itself where it is adjacent.
    public var adjacent: PeerID
    /// Peers of the same group may speak to each other.
    public var group: String

    /// Describes a route.
    public init(adjacent: PeerID, group: String) {
      self.adjacent = adjacent
      self.group = group
    }
  }

  /// Two peers that may speak to each other, in whichever direction.
  public struct Pair: Sendable, Hashable {
    let first: PeerID
    let second: PeerID

    /// Names a pair; the order of its members does not matter.
    public init(_ one: PeerID, _ other: PeerID) {
      (first, second) =
        one.bytes.lexicographicallyPrecedes(other.bytes) ? (one, other) : (other, one)
    }
  }

  private var routes: [PeerID: Route]
  private var groups: [PeerID: String]
  private var pairs: Set<Pair>
  /// Adjacent peers behind which others live.
  private var fronts: Set<PeerID>

  /// Makes a table. `remoteMembers` are members of a group whose place this process does not know:
  /// what it has for them goes to its uplink.
  public init(
    routes: [PeerID: Route] = [:], remoteMembers: [PeerID: String] = [:], pairs: Set<Pair> = []
  ) {
    self.routes = routes
    self.pairs = pairs
    fronts = Set(routes.lazy.filter { $0.key != $0.value.adjacent }.map(\.value.adjacent))
    groups = routes.mapValues(\.group).merging(remoteMembers) { local, _ in local }
  }

  /// True where `peer` is known to live behind `adjacent`.
  func isBehind(_ peer: PeerID, _ adjacent: PeerID) -> Bool { routes[peer]?.adjacent == adjacent }

  /// The adjacent peer behind which `peer` lives.
  func adjacent(to peer: PeerID) -> PeerID? { routes[peer]?.adjacent }

  /// True where others live behind that adjacent peer.
  func hasPeers(behind adjacent: PeerID) -> Bool { fronts.contains(adjacent) }

  /// True where both are of one group, or a pair.
  func mayRelay(from source: PeerID, to destination: PeerID) -> Bool {
    if let group = groups[source], groups[destination] == group { return true }
    return !pairs.isEmpty && pairs.contains(Pair(source, destination))
  }
}
