public import IorunCore

/// A running rank as a client may reach it: where it runs, and under which lease.
public struct Attachment: Hashable, Codable, Sendable {
  /// The rank's hold on its node.
  public var lease: LeaseID
  /// The node's agent, which serves a `RankDesk`.
  public var node: PeerID
  /// That node's name for people.
  public var nodeName: String

  /// Describes an attachment.
  public init(lease: LeaseID, node: PeerID, nodeName: String) {
    self.lease = lease
    self.node = node
    self.nodeName = nodeName
  }
}

/// The head's word to a node that a client's process may reach a rank, for a while.
public struct ClientPass: Hashable, Codable, Sendable {
  /// The rank.
  public var lease: LeaseID
  /// The process's address on the mesh.
  public var client: PeerID
  /// Whose process that is.
  public var principal: PeerID
  /// How long the pass is good from its arrival on. The client has it renewed.
  public var lifetimeSeconds: Double

  /// How long a pass is good: the head may be away for half a minute.
  public static let lifetimeSeconds = 90.0

  /// Describes a pass.
  public init(
    lease: LeaseID, client: PeerID, principal: PeerID,
    lifetimeSeconds: Double = Self.lifetimeSeconds
  ) {
    self.lease = lease
    self.client = client
    self.principal = principal
    self.lifetimeSeconds = lifetimeSeconds
  }
}
