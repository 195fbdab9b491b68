public import IorunContract
public import IorunCore
public import IorunTunnel

/// Names a gang's network on a node: one attempt of one job.
public struct GangID: Hashable, Sendable, CustomStringConvertible {
  /// The job.
  public var job: JobID
  /// The attempt, from 1.
  public var attempt: Int

  /// The gang of a lease.
  public init(_ lease: LeaseID) {
    job = lease.job
    attempt = lease.attempt
  }

  /// `job/attempt`.
  public var description: String { "\(job)/\(attempt)" }
}

/// One other node of a gang, as those who look for a way to it need it.
public struct GangPeer: Hashable, Sendable {
  /// Its number in the gang.
  public var node: Int
  /// Its tunnel's key.
  public var key: TunnelPublicKey
  /// What it said of itself.
  public var member: TunnelMember

  /// Describes a node.
  public init(node: Int, key: TunnelPublicKey, member: TunnelMember) {
    self.node = node
    self.key = key
    self.member = member
  }
}

/// Finds the ways by which the nodes of a gang reach each other's tunnels, and keeps them right.
public protocol GangPaths: Sendable {
  /// Completes what a node says of its tunnel, whose UDP socket has just been opened: other addresses
  /// under which it may be reached, a key for words about paths.
  func announce(_ member: TunnelMember, of gang: GangID, device: any TunnelDevice) async
    -> TunnelMember
  /// Where to send to a peer at first; `nil` to wait until it writes.
  func firstEndpoint(of peer: GangPeer, in gang: GangID) async -> TunnelEndpoint?
  /// The peers are set: from now on their endpoints are this value's to change. Returns at once.
  func attach(_ gang: GangID, device: any TunnelDevice, own: Int, peers: [GangPeer]) async
  /// The tunnel is about to be closed.
  func detach(_ gang: GangID) async
}

/// Ways without any search: each node is where it says first.
public struct DirectPaths: GangPaths {
  /// Makes it.
  public init() {}

  /// Adds nothing.
  public func announce(_ member: TunnelMember, of gang: GangID, device: any TunnelDevice) async
    -> TunnelMember
  { member }

  /// The first endpoint that the peer named.
  public func firstEndpoint(of peer: GangPeer, in gang: GangID) async -> TunnelEndpoint? {
    peer.member.endpoints.first.map { TunnelEndpoint($0) }
  }

  /// Does nothing.
  public func attach(
    _ gang: GangID, device: any TunnelDevice, own: Int, peers: [GangPeer]
  ) async {}

  /// Does nothing.
  public func detach(_ gang: GangID) async {}
}
