import Foundation
import Testing

/// A network in which only one node takes work, `far`, which was joined with flags of the test's.
enum SealedNode {
  static func with(
    _ flags: String..., body: (TestNetwork) async throws -> Void
  ) async throws {
    try await TestNetwork.with(nodes: 1) { network in
      let drained = try await network.iorun("drain", "node-1")
      try #require(drained.status == 0, "\(drained)")
      let ticket = try await RealProcesses.`A ticket`.ticket(.supplier, network, "--uses", "2")
      let join = try network.start(
        ["join", ticket, "--name", "far", "--cpus", "4"] + flags, state: network.root + "/far")
      do {
        try await eventually("far is there", within: .seconds(60)) {
          try await network.nodeStates()["far"] == "alive"
        } detail: {
          join.errors
        }
        try await body(network)
        join.signal(SIGINT)
        _ = try await join.finish()
      } catch {
        print("== far\n\(join.errors.suffix(3000))")
        throw error
      }
    }
  }
}
