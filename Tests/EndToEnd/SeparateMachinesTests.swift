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
