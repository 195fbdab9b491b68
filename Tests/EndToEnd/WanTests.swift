import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// A head and a node that are a hundred milliseconds apart, on a path that loses packets.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `Across a wide area network` {
    private static let path = LinkSettings(
      roundTrip: .milliseconds(100), jitter: .milliseconds(2), loss: 0.01,
      bitsPerSecond: 100_000_000)

    @Test(.timeLimit(.minutes(1)))
    func `a job of one rank prints all it has to say`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await Self.linked(network) { world in
          try await world.join("far", in: "node")
          let submit = try await world.iorun(
            "submit", "--ranks", "1", "--", "sh", "-c", "for i in 1 2 3; do echo $i; done")
          #expect(submit.status == 0, "\(submit)")
          #expect(submit.lines == ["1", "2", "3"], "\(submit)")
          // The path was real: the node's own clock saw its delay.
          try await eventually("the round trip to the node was measured") {
            let nodes = try await world.iorun("nodes", "--json").json()["nodes"]
            let first = (nodes as? [[String: Any]])?.first
            return (first?["round_trip_milliseconds"] as? Double ?? 0) >= 99.5
          }
        }
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `two ranks train one network, one rank on each side`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await Self.linked(network) { world in
          try await world.join("near", in: "head")
          try await world.join("far", in: "node")
          // Each rank wants all cores that a node offers, so that both nodes are needed.
          let spec = try network.write(
            """
            name: train-digits
            swift: {target: train-digits, arguments: [--epochs, "1"]}
            working_dir: \(Binaries.digits)
            gang:
              ranks: 2
              resources: {cpus: 1, memory: 128MiB}
            outputs: [metrics.json]
            timeout: 90s
            """, to: "job.yaml")
          let submit = try await world.iorun("submit", spec, within: .seconds(100))
          try #require(submit.status == 0, "\(submit)")
          #expect(submit.lines.first?.hasPrefix("[0] epoch 1/1") == true, "\(submit)")
          #expect(submit.errors.contains("2 ranks on 2 nodes"), "\(submit)")
          #expect(submit.lines.last?.contains("2 ranks, which agree") == true, "\(submit)")
        }
      }
    }

    /// The head's side of the link, where commands are given, and the node's.
    private struct World {
      let network: TestNetwork
      let namespaces: NetworkNamespaces

      /// Starts iorun in a namespace; the head's state folder is "s".
      func start(
        _ arguments: [String], in role: String, state: String, input: String? = nil
      ) throws -> RunningCommand {
        try RunningCommand(
          "/usr/bin/env", namespaces.command(in: role, [Binaries.iorun] + arguments),
          scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": "\(network.root)/\(state)"], input: input,
          directory: network.root)
      }

      /// Runs iorun beside the head to its end.
      func iorun(
        _ arguments: String..., within limit: Duration = .seconds(40)
      ) async throws -> CommandResult {
        try await start(arguments, in: "head", state: "s").finish(within: limit)
      }

      /// Joins a node of one core, and waits until the head counts on it.
      func join(_ name: String, in role: String) async throws {
        let ticket = try await iorun("ticket", "create", "--role", "supplier")
        try #require(ticket.status == 0, "\(ticket)")
        let addresses = WanLinkProcess.addresses
        let node = try start(
          [
            "join", "-", "--name", name, "--cpus", "1", "--address",
            role == "head" ? addresses.a : addresses.b,
          ], in: role, state: name, input: ticket.lines.last)
        try await eventually("\(name) is there") {
          let nodes = try await iorun("nodes", "--json").json()["nodes"] as? [[String: Any]] ?? []
          return nodes.contains {
            $0["name"] as? String == name && $0["state"] as? String == "alive"
          }
        } detail: {
          node.errors
        }
      }
    }

    /// Runs a test with a head at one end of the path. Nothing listens at the other.
    private static func linked(
      _ network: TestNetwork, _ body: (World) async throws -> Void
    ) async throws {
      try await NetworkNamespaces.with("head", "node") { namespaces in
        try await WanLinkProcess.with(
          in: namespaces, from: "head", to: "node", settings: path
        ) {
          let world = World(network: network, namespaces: namespaces)
          let address = WanLinkProcess.addresses.a + ":7070"
          let head = try world.start(["head", "--listen", address], in: "head", state: "s")
          try await head.prints("tickets name \(address)")
          try await body(world)
        }
      }
    }
  }
}
