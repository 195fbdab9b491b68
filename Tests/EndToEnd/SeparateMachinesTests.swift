import Foundation
import Testing

extension RealProcesses {
  /// A head, a node and a client that were started by hand, each with a state folder of its own.
  @Suite(.serialized)
  struct `Peers of separate machines` {
    @Test(.timeLimit(.minutes(3)))
    func `meet with tickets, work and leave in order`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let node = network.root + "/node"
        let client = network.root + "/client"
        let head = try network.start([
          "head", "--listen", "127.0.0.1:\(try FreePort.any())", "--verification", "off",
        ])
        try await head.prints("ticket create --role supplier")
        let supplier = try await `A ticket`.ticket(.supplier, network)
        let join = try network.start(
          ["join", "-", "--name", "bench", "--address", "127.0.0.9", "--cpus", "2"], state: node,
          input: supplier)
        try await eventually("the node is there") {
          try await network.nodeStates() == ["bench": "alive"]
        } detail: {
          join.errors
        }
        #expect(!ProcessScan.all(supplier).contains { $0.commandLine.contains(supplier) })

        let buyer = try await `A ticket`.ticket(.buyer, network)
        for round in 1...2 {
          let job = try await network.iorun(
            "submit", "--head", buyer, "--name", "round-\(round)", "--", "sh", "-c",
            "echo $MASTER_ADDR", state: client)
          #expect(job.status == 0, "\(job)")
          #expect(job.output == "127.0.0.9\n", "\(job)")
        }
        // The ticket has one use, so the second round came with the identity of the first.
        let jobs = try await network.iorun("status", "--json").json()["jobs"]
        let owners = (jobs as? [[String: Any]] ?? []).compactMap { $0["owner"] as? String }
        #expect(owners.count == 2 && Set(owners).count == 1, "\(owners)")

        join.signal(SIGTERM)
        let left = try await join.finish(within: .seconds(15))
        #expect(left.status == 0, "\(left)")
        #expect(try await network.nodeStates() == ["bench": "left"])

        // It knows its network now: no ticket is needed to come back.
        let back = try network.start(["join"], state: node)
        try await eventually("the node is back") {
          try await network.nodeStates() == ["bench": "alive"]
        } detail: {
          back.errors
        }
        let again = try await network.iorun(
          "submit", "--head", buyer, "--", "sh", "-c", "echo $MASTER_ADDR", state: client)
        #expect(again.output == "127.0.0.9\n", "it kept its name, address and cores: \(again)")

        back.signal(SIGINT)
        #expect(try await back.finish(within: .seconds(15)).status == 0)
        head.signal(SIGTERM)
        let stopped = try await head.finish(within: .seconds(15))
        #expect(stopped.status == 0, "\(stopped)")
      }
    }

    /// Each of the three nodes sees an empty folder where the others keep their state.
    @Test(
      .enabled(if: Privileges.canMakeNamespaces, "a mount of its own needs root: SKIPPED"),
      .timeLimit(.minutes(4)))
    func `run a Swift program that only the client has, with its workers on all of them`()
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        let head = try network.start([
          "head", "--listen", "127.0.0.1:\(try FreePort.any())", "--verification", "off",
        ])
        try await head.prints("ticket create --role supplier")
        let states = (1...3).map { "\(network.root)/machine-\($0)" }
        for state in states {
          try FileManager.default.createDirectory(
            atPath: state, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        }
        var nodes: [RunningCommand] = []
        defer { for node in nodes { node.signal(SIGTERM) } }
        for (index, state) in states.enumerated() {
          let hidden = states.filter { $0 != state }.map { "mount -t tmpfs none '\($0)'" }
          let join = "exec '\(Binaries.iorun)' join - --name m\(index + 1) --cpus 2"
          nodes.append(
            try RunningCommand(
              "/usr/bin/env",
              ["unshare", "--mount", "sh", "-c", (hidden + [join]).joined(separator: " && ")],
              scratch: network.root + "/commands", environment: ["IORUN_STATE_DIR": state],
              input: try await `A ticket`.ticket(.supplier, network), directory: network.root))
        }
        // Each tries its sandboxes first, all at once.
        try await eventually("all nodes are there", within: .seconds(120)) {
          try await network.nodeStates() == ["m1": "alive", "m2": "alive", "m3": "alive"]
        } detail: {
          nodes.map(\.errors).joined(separator: "\n")
        }
        let job = try await network.start(
          [
            "submit", "--head", try await `A ticket`.ticket(.buyer, network), "--swift-product",
            "cluster-program", "--", "nodes",
          ], state: network.root + "/client"
        ).finish(within: .seconds(120))
        #expect(job.status == 0, "\(job)")
        #expect(job.output.contains("ok nodes"), "\(job)")
        // The driver's node has it as a file of the job; the other two have fetched it by its content, and
        // that of the driver, too, where it runs in a sandbox.
        // As the agents see it: on encrypted scratch that is mounted for them alone.
        // `find` goes on where a folder goes away under it: the agents are at work.
        var copies: [Bool] = []
        for (node, state) in zip(nodes, states) {
          let found = try await network.run(
            "find", "/proc/\(node.pid)/root\(state)", "-path", "*/programs/*", "-name", "program")
          copies.append(!found.lines.isEmpty)
        }
        #expect(copies.filter { $0 }.count >= 2, "\(copies)")
      }
    }

    @Test
    func `are told within their limit that the head of a ticket is gone`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await `A ticket`.ticket(.buyer, network)
        let client = network.root + "/client"
        #expect(
          try await network.iorun("status", "--head", ticket, state: client).status == 0)
        kill(try network.pid(of: "head"), SIGKILL)
        for state in [client, network.root + "/new"] {
          let result = try await network.iorun("status", "--head", ticket, state: state)
          #expect(result.status == 1, "\(result)")
          #expect(result.errors.contains("IOR-1101"), "\(result)")
          #expect(result.errors.contains("do:"), "\(result)")
          #expect(result.elapsed < .seconds(14), "\(result)")
        }
      }
    }
  }
}
