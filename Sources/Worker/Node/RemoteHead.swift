internal import Foundation
internal import IorunContract
internal import IorunCore

/// The head as the agent calls it over the mesh.
struct RemoteHead: HeadLink {
  let registry: NodeRegistry
  let logs: LogSink

  func report(_ report: LeaseReport) async throws { try await registry.report(report) }

  func appendLog(_ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data) async throws -> Int64 {
    try await logs.append(lease, epoch: epoch, offset: offset, bytes: bytes)
  }
}
