public import IorunContract
internal import IorunCore

/// The networks of gangs, as a node's agent needs them: one for all of a gang's ranks on the node,
/// made with the first of their leases and removed with the last.
public protocol LeaseNetworks: Sendable {
  /// Makes the network of the grant's gang, where there is none yet, and joins the lease to it.
  /// Returns how other nodes reach it; `nil` where the gang has one node. Throws `networkSetup`,
  /// `malformed`, `addressInUse`.
  func prepare(_ grant: LeaseGrant) async throws -> TunnelMember?
  /// Connects the network to those of the gang's other nodes. Returns what a rank's process enters.
  /// Throws `malformed`, `networkSetup`, and `notFound` for a lease that was not prepared.
  func connect(_ lease: LeaseID, to gang: GangNetwork) async throws -> RankNetwork
  /// The lease is over and none of its processes is left. Any number of times.
  func release(_ lease: LeaseID) async
}

/// A node that gives gangs no network of their own.
public struct NoLeaseNetworks: LeaseNetworks {
  /// Makes none.
  public init() {}

  /// Throws `networkSetup`.
  public func prepare(_ grant: LeaseGrant) async throws -> TunnelMember? { throw Self.refusal }

  /// Throws `networkSetup`.
  public func connect(_ lease: LeaseID, to gang: GangNetwork) async throws -> RankNetwork {
    throw Self.refusal
  }

  /// Does nothing.
  public func release(_ lease: LeaseID) async {}

  private static var refusal: IorunError {
    IorunError(
      .networkSetup, "this node can give gangs no network of their own",
      remedy: "Run it as root where the kernel has TUN devices and nf_tables, or use network: host")
  }
}
