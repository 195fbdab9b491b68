internal import IorunCore

/// The links of one process, and which of them lead where. There may be several to one peer, as both
/// sides may have dialled; the newest is used, and packets are taken from all.
struct LinkTable: Sendable {
  typealias LinkID = MeshEngine.LinkID

  private var peers: [LinkID: PeerID] = [:]
  /// Oldest first.
  private var linksOf: [PeerID: [LinkID]] = [:]
  /// Adjacent peers that may bring packets of others, and take packets to others.
  private var carriers: Set<PeerID> = []
  /// Through which carrier a peer is reached that has no link of its own.
  private var carrierOf: [PeerID: PeerID] = [:]

  /// The peer at the other end of a link that is up.
  func peer(at link: LinkID) -> PeerID? { peers[link] }

  /// The link that is used to an adjacent peer.
  func link(to peer: PeerID) -> LinkID? { linksOf[peer]?.last }

  /// True where that adjacent peer may bring packets of others.
  func isCarrier(_ peer: PeerID) -> Bool { carriers.contains(peer) }

  /// The carrier that was named for a peer.
  func carrier(of peer: PeerID) -> PeerID? { carrierOf[peer] }

  /// True where that peer was named as the way to another.
  func leadsOn(_ peer: PeerID) -> Bool { carrierOf.values.contains(peer) }

  mutating func add(_ link: LinkID, to peer: PeerID) {
    peers[link] = peer
    linksOf[peer, default: []].append(link)
  }

  /// Forgets a link; returns its peer.
  mutating func remove(_ link: LinkID) -> PeerID? {
    guard let peer = peers.removeValue(forKey: link) else { return nil }
    linksOf[peer]?.removeAll { $0 == link }
    if linksOf[peer]?.isEmpty == true { linksOf[peer] = nil }
    return peer
  }

  mutating func setCarrier(_ peer: PeerID, _ isCarrier: Bool) {
    if isCarrier { carriers.insert(peer) } else { carriers.remove(peer) }
  }

  mutating func setCarrier(_ carrier: PeerID?, of peer: PeerID) { carrierOf[peer] = carrier }
}
