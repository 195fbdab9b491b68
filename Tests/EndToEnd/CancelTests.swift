import Foundation
import Testing

extension RealProcesses {
  /// `iorun cancel`.
  @Suite(.serialized)
  struct `A cancelled job` {
    @Test(.timeLimit(.minutes(3)))
    func `leaves no process, even where its ranks fork and ignore SIGTERM`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let marker = "IETEST=\(UUID().uuidString)"
        let script = """
          trap '' TERM INT HUP
          setsid sh -c 'trap "" TERM; setsid sleep 300 & sleep 300' &
          (trap '' TERM; sleep 300 & sleep 300) &
          nohup sleep 300 >/dev/null 2>&1 &
          while :; do sleep 1; done
          """
        let submit = try network.start([
          "submit", "--ranks", "3", "--env", marker, "--", "sh", "-c", script,
        ])
        try await eventually("all have forked") {
          ProcessScan.all(marker).count { $0.commandLine.hasPrefix("sleep 300") } == 3 * 5
        } detail: {
          "\(ProcessScan.all(marker))"
        }
        let id = try await Self.firstJob(network)

        let cancel = try await network.iorun("cancel", id, "--json")
        #expect(cancel.status == 0, "\(cancel)")
        let left = ProcessScan.all(marker).filter { $0.pid != submit.pid }
        #expect(left.isEmpty, "\(left)")
        let job = try cancel.json()
        #expect(job["state"] as? String == "cancelled")
        for rank in job["ranks"] as? [[String: Any]] ?? [] {
          #expect((rank["cause"] as? [String: Any])?["kind"] as? String == "cancelled")
        }
        let waiting = try await submit.finish()
        #expect(waiting.status == 3, "\(waiting)")
        #expect(waiting.errors.contains("cancelled"), "\(waiting)")

        let again = try await network.iorun("cancel", id, "--json")
        #expect(again.status == 0, "\(again)")
        #expect(try again.json()["revision"] as? Int == job["revision"] as? Int)
        let nodes = try await network.iorun("nodes", "--json").json()["nodes"]
        for node in nodes as? [[String: Any]] ?? [] { #expect(node["leases"] as? Int == 0) }
      }
    }

    @Test
    func `never starts where it was still waiting`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 1) { network in
        let first = try await network.detach("--", "sleep", "300")
        let second = try await network.detach("--", "touch", network.root + "/ran")
        let cancel = try await network.iorun("cancel", second)
        #expect(cancel.status == 0, "\(cancel)")
        #expect(try await network.iorun("cancel", first).status == 0)
        #expect(try await network.job(second)["state"] as? String == "cancelled")
        #expect(try await network.iorun("submit", "--", "true").status == 0)
        #expect(!FileManager.default.fileExists(atPath: network.root + "/ran"))
      }
    }

    private static func firstJob(_ network: TestNetwork) async throws -> String {
      let status = try await network.iorun("status", "--json").json()
      let jobs = try #require(status["jobs"] as? [[String: Any]])
      return try #require(jobs.first?["id"] as? String)
    }
  }
}
