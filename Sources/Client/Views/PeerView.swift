public import IorunContract
internal import IorunCore

/// An admitted peer in JSON: each entry of `PeersView`, and `revoke`.
public struct PeerView: Encodable, Sendable {
  let id: String
  let name: String
  let role: String
  let owner: String
  let labels: [String: String]
  let admittedAtUnixSeconds: Double
  let certificateEndsAtUnixSeconds: Double?
  let revokedAtUnixSeconds: Double?

  /// Shows a peer.
  public init(_ peer: PeerStatus) {
    id = peer.id.description
    name = peer.name
    role = peer.role.rawValue
    owner = peer.owner
    labels = peer.labels
    admittedAtUnixSeconds = peer.admittedAt
    certificateEndsAtUnixSeconds = peer.certificateEndsAt
    revokedAtUnixSeconds = peer.revokedAt
  }
}

/// Several peers in JSON: `peers`.
public struct PeersView: Encodable, Sendable {
  let peers: [PeerView]

  /// Shows peers.
  public init(_ peers: [PeerStatus]) { self.peers = peers.map(PeerView.init) }
}

/// The authority's keys in JSON: `authority show` and `authority rotate`.
public struct AuthoritiesView: Encodable, Sendable {
  let authorities: [Authority]

  /// One key.
  struct Authority: Encodable, Sendable {
    let key: String
    let isPresent: Bool
    let acceptedUntilUnixSeconds: Double?
    let peers: Int
  }

  /// Shows keys.
  public init(_ keys: [AuthorityStatus]) {
    authorities = keys.map {
      Authority(
        key: Base32.encode($0.key), isPresent: $0.acceptedUntil == nil,
        acceptedUntilUnixSeconds: $0.acceptedUntil, peers: $0.peers)
    }
  }
}
