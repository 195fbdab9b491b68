public import IorunCore

/// What a new ticket allows.
public struct TicketRequest: Hashable, Codable, Sendable {
  /// The role that its user gets.
  public var role: Role
  /// The tenant whose peers its users become; empty where each belongs to itself alone.
  public var owner: String
  /// What it says of its users.
  public var labels: [String: String]
  /// How many peers may join with it.
  public var uses: Int
  /// For how many seconds it is good.
  public var lifetimeSeconds: Double
  /// A remark for the operator's list.
  public var label: String

  /// Describes a ticket to make.
  public init(
    role: Role, owner: String = "", labels: [String: String] = [:], uses: Int,
    lifetimeSeconds: Double, label: String
  ) {
    self.role = role
    self.owner = owner
    self.labels = labels
    self.uses = uses
    self.lifetimeSeconds = lifetimeSeconds
    self.label = label
  }
}

/// A ticket as the operator's list shows it; the secret is in no list.
public struct TicketStatus: Hashable, Codable, Sendable {
  /// A short id, derived from the ticket's public key.
  public var id: String
  /// The role that its user gets.
  public var role: Role
  /// The tenant whose peers its users become.
  public var owner: String
  /// What it says of its users.
  public var labels: [String: String]
  /// How many peers may still join with it.
  public var usesLeft: Int
  /// Seconds since 1970 (UTC) until which it is good.
  public var expiresAt: Double
  /// True once an operator revoked it.
  public var isRevoked: Bool
  /// The operator's remark.
  public var label: String

  /// Describes a ticket.
  public init(
    id: String, role: Role, owner: String = "", labels: [String: String] = [:], usesLeft: Int,
    expiresAt: Double, isRevoked: Bool, label: String
  ) {
    self.id = id
    self.role = role
    self.owner = owner
    self.labels = labels
    self.usesLeft = usesLeft
    self.expiresAt = expiresAt
    self.isRevoked = isRevoked
    self.label = label
  }
}

/// The head's answer to a ticket: the peer is in.
public struct Admission: Hashable, Codable, Sendable {
  /// The peer's id, derived from its key.
  public var peer: PeerID
  /// Its role.
  public var role: Role
  /// The membership certificate: the signed bytes and the authority's Ed25519 signature.
  public var certificate: [UInt8]
  /// The network's authority keys and revocations, signed: a `TrustBundle`. What it is checked by is
  /// pinned with the first one.
  public var trust: [UInt8]

  /// Describes an admission.
  public init(peer: PeerID, role: Role, certificate: [UInt8], trust: [UInt8]) {
    self.peer = peer
    self.role = role
    self.certificate = certificate
    self.trust = trust
  }
}
