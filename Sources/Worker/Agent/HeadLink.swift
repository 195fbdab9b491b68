public import Foundation
public import IorunContract

/// The head as a node's agent needs it: calls of `NodeService` without the caller, which the mesh
/// proves. Every call may throw while the head is away; the agent calls again until it succeeds or
/// the lease is to be forgotten.
public protocol HeadLink: Sendable {
  /// A lease changed. Durable once this returns.
  func report(_ report: LeaseReport) async throws
  /// Log bytes of a lease from `offset`; returns the length the head now has.
  func appendLog(_ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data) async throws -> Int64
}
