public import IorunCore

/// What a rank's process knows of its gang.
public struct GangView: Hashable, Codable, Sendable {
  /// The lease under which the process runs.
  public var lease: LeaseID
  /// The mesh identity of each rank's process, by rank.
  public var members: [PeerID]

  /// Describes a gang.
  public init(lease: LeaseID, members: [PeerID]) {
    self.lease = lease
    self.members = members
  }
}
