import Foundation
import Testing

extension RealProcesses {
  /// `iorun up` and `iorun down`: a whole network on one machine.
  @Suite(.serialized)
  struct `A local network` {
    @Test
    func `has a process, a key, a folder and an address for every node`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let names = ["head", "node-1", "node-2", "node-3"]
        let processes = try names.map { try network.pid(of: $0) }
        #expect(Set(processes).count == 4)
        for pid in processes { #expect(ProcessScan.isRunning(pid)) }

        let nodes = try await network.iorun("nodes", "--json")
        let list = try #require(try nodes.json()["nodes"] as? [[String: Any]])
        #expect(Set(list.compactMap { $0["id"] as? String }).count == 3)
        #expect(
          list.compactMap { $0["address"] as? String }.sorted()
            == ["127.0.0.2", "127.0.0.3", "127.0.0.4"])
        #expect(list.allSatisfy { $0["state"] as? String == "alive" })

        let keys = try names.dropFirst().map {
          try Data(contentsOf: URL(fileURLWithPath: "\(network.state)/\($0)/node.key"))
        }
        #expect(Set(keys).count == 3)
        let attributes = try FileManager.default.attributesOfItem(
          atPath: network.state + "/node-1/node.key")
        #expect((attributes[.posixPermissions] as? NSNumber)?.intValue == 0o600)

        let status = try await network.iorun("status", "--json")
        let summary = try #require(try status.json()["network"] as? [String: Any])
        #expect(summary["nodes_by_state"] as? [String: Int] == ["alive": 3])
        #expect((summary["capacity"] as? [String: Any])?["cpus"] as? Double == 24)
      }
    }

    @Test
    func `refuses a second up, which harms nothing`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let processes = try ["head", "node-1", "node-2"].map { try network.pid(of: $0) }
        let second = try await network.iorun("up", "--nodes", "2")
        #expect(second.status == 1, "\(second)")
        #expect(second.errors.contains("IOR-1403"), "\(second)")
        #expect(second.errors.contains("iorun down"), "\(second)")
        #expect(second.errors.contains("--state-dir"), "\(second)")
        #expect(try ["head", "node-1", "node-2"].map { try network.pid(of: $0) } == processes)
        let job = try await network.iorun("submit", "--ranks", "2", "--", "true")
        #expect(job.status == 0, "\(job)")
      }
    }

    @Test
    func `is stopped by down, and another network lives on`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let other = network.root + "/other"
        let up = try await network.iorun("up", "--nodes", "1", state: other)
        try #require(up.status == 0, "\(up)")
        let mine = try ["head", "node-1", "node-2"].map { try network.pid(of: $0) }
        let theirs = try ["head", "node-1"].map { try network.pid(of: $0, state: other) }

        let down = try await network.iorun("down")
        #expect(down.status == 0, "\(down)")
        for name in ["head", "node-1", "node-2"] { #expect(down.output.contains(name)) }
        for pid in mine { #expect(!ProcessScan.isRunning(pid)) }
        for pid in theirs { #expect(ProcessScan.isRunning(pid)) }
        let job = try await network.iorun("submit", "--", "true", state: other)
        #expect(job.status == 0, "\(job)")

        let again = try await network.iorun("down")
        #expect(again.status == 1, "\(again)")
        #expect(again.errors.contains("IOR-1404"), "\(again)")
        #expect(again.errors.contains("iorun up"), "\(again)")
      }
    }

    @Test
    func `comes back with its jobs after down and up`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let id = try await network.detach("--", "sh", "-c", "echo kept")
        _ = try await network.job(id, reaches: "succeeded")
        let before = try await network.nodeStates()
        #expect(try await network.iorun("down").status == 0)
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        #expect(try await network.nodeStates() == before)
        #expect(try await network.iorun("logs", id).output == "kept\n")
        #expect(try await network.iorun("submit", "--ranks", "2", "--", "true").status == 0)
      }
    }

    @Test
    func `says that no network answers where its head was killed`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        kill(try network.pid(of: "head"), SIGKILL)
        let status = try await network.iorun("status")
        #expect(status.status == 1, "\(status)")
        #expect(status.errors.contains("IOR-1404"), "\(status)")
        #expect(status.errors.contains("iorun up"), "\(status)")
        #expect(status.elapsed < .seconds(9), "\(status)")
      }
    }
  }
}
