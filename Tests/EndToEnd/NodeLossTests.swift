import Foundation
import Testing

extension RealProcesses {
  /// `kill -9` of a node's agent.
  @Suite(.serialized)
  struct `A node that is killed` {
    @Test(.timeLimit(.minutes(4)))
    func `fails its job with the true reason and leaves no process behind`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let marker = "IETEST=\(UUID().uuidString)"
        let submit = try network.start([
          "submit", "--ranks", "3", "--env", marker, "--json", "--", "sh", "-c",
          "sleep 300 & setsid sleep 300 & echo up; wait",
        ])
        try await eventually("all ranks have forked") {
          ProcessScan.all(marker).count { $0.commandLine.hasPrefix("sleep 300") } == 3 * 2
        } detail: {
          "\(ProcessScan.all(marker))"
        }
        let folder = "\(network.state)/node-2/"
        #expect(!Self.ranks(marker, of: folder).isEmpty)
        kill(try network.pid(of: "node-2"), SIGKILL)
        // The kernel tells the supervisor, which needs no agent for this.
        try await eventually("no process of its rank stays", within: .seconds(5)) {
          Self.ranks(marker, of: folder).isEmpty
        } detail: {
          "\(Self.ranks(marker, of: folder))"
        }

        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 3, "\(result)")
        let job = try result.json()
        #expect(job["state"] as? String == "failed", "\(job)")
        let reason = try #require(job["reason"] as? String)
        #expect(reason.contains("node-2") && reason.contains("lost"), "\(reason)")
        let ranks = try #require(job["ranks"] as? [[String: Any]])
        let kinds = ranks.map { (($0["cause"] as? [String: Any])?["kind"] as? String) ?? "" }
        #expect(kinds == ["gang_stopped", "node_lost", "gang_stopped"], "\(kinds)")
        try await eventually("nothing is left", within: .seconds(10)) {
          ProcessScan.all(marker).isEmpty
        }
        #expect(try await network.nodeStates()["node-2"] == "dead")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `has its job tried again on the others`() async throws {
      try await TestNetwork.with(nodes: 4) { network in
        let script = """
          echo attempt $TORCHELASTIC_RESTART_COUNT
          [ $TORCHELASTIC_RESTART_COUNT = 1 ] || sleep 300
          """
        let submit = try network.start([
          "submit", "--ranks", "3", "--retries", "1", "--", "sh", "-c", script,
        ])
        try await submit.prints("[2] attempt 0")
        let id = try await Self.onlyJob(network)
        let ranks = try #require(try await network.job(id)["ranks"] as? [[String: Any]])
        let name = try #require(ranks[1]["node_name"] as? String)
        kill(try network.pid(of: name), SIGKILL)
        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        for rank in 0..<3 { #expect(result.lines.contains("[\(rank)] attempt 1"), "\(result)") }
        let job = try await network.job(id)
        #expect(job["attempt"] as? Int == 2)
        let nodes = (job["ranks"] as? [[String: Any]] ?? []).compactMap {
          $0["node_name"] as? String
        }
        #expect(Set(nodes).count == 3 && !nodes.contains(name), "\(nodes)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `is back after up, and takes work again`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        kill(try network.pid(of: "node-1"), SIGKILL)
        try await eventually("it is gone") {
          !ProcessScan.isRunning(try network.pid(of: "node-1"))
        }
        let up = try await network.iorun("up")
        #expect(up.status == 0, "\(up)")
        #expect(up.output.contains("started: node-1)"), "\(up)")
        let job = try await network.iorun("submit", "--ranks", "2", "--", "true")
        #expect(job.status == 0, "\(job)")
        let nodes = try await network.nodeStates()
        #expect(nodes == ["node-1": "alive", "node-2": "alive"])
      }
    }

    private static func onlyJob(_ network: TestNetwork) async throws -> String {
      let status = try await network.iorun("status", "--json").json()
      let jobs = try #require(status["jobs"] as? [[String: Any]])
      return try #require(jobs.first?["id"] as? String)
    }

    /// Processes with the marker that belong to the node with this folder.
    private static func ranks(_ marker: String, of folder: String) -> [ProcessScan.Found] {
      let ofNode = Set(ProcessScan.all(folder).map(\.pid))
      return ProcessScan.all(marker).filter { ofNode.contains($0.pid) }
    }
  }
}
