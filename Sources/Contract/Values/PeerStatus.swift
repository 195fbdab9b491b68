public import IorunCore

/// An admitted peer as the operator's list shows it.
public struct PeerStatus: Hashable, Codable, Sendable {
  /// The peer.
  public var id: PeerID
  /// Its name for people.
  public var name: String
  /// What it may do.
  public var role: Role
  /// The tenant that it belongs to; empty where it belongs to itself alone.
  public var owner: String
  /// What its ticket said of it.
  public var labels: [String: String]
  /// Seconds since 1970 (UTC) when it was admitted.
  public var admittedAt: Double
  /// Seconds since 1970 (UTC) when its certificate ends; `nil` where it has none that is good.
  public var certificateEndsAt: Double?
  /// Seconds since 1970 (UTC) when it was revoked; `nil` while it is admitted.
  public var revokedAt: Double?

  /// Describes a peer.
  public init(
    id: PeerID, name: String, role: Role, owner: String, labels: [String: String],
    admittedAt: Double, certificateEndsAt: Double?, revokedAt: Double?
  ) {
    self.id = id
    self.name = name
    self.role = role
    self.owner = owner
    self.labels = labels
    self.admittedAt = admittedAt
    self.certificateEndsAt = certificateEndsAt
    self.revokedAt = revokedAt
  }
}

/// A key of the network's authority as the operator's list shows it.
public struct AuthorityStatus: Hashable, Codable, Sendable {
  /// The Ed25519 public key, 32 bytes.
  public var key: [UInt8]
  /// Seconds since 1970 (UTC) until which its certificates are good; `nil` for the present key.
  public var acceptedUntil: Double?
  /// How many admitted peers have a certificate of this key as their last.
  public var peers: Int

  /// Describes a key.
  public init(key: [UInt8], acceptedUntil: Double?, peers: Int) {
    self.key = key
    self.acceptedUntil = acceptedUntil
    self.peers = peers
  }
}
