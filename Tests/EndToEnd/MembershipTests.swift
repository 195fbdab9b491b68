import Foundation
import Testing

extension RealProcesses {
  /// Who is in, who is out, and who gets work: with real processes.
  @Suite(.serialized)
  struct `Membership` {
    @Test(.timeLimit(.minutes(4)))
    func `of a node ends at once when it is revoked, and for good`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let state = network.root + "/far"
        let ticket = try await `A ticket`.ticket(.supplier, network, "--uses", "2")
        let join = try await Self.join(ticket, "far", state, network)
        let node = try #require(try await Self.nodes(network)["far"])
        let revoked = try await network.iorun("revoke", "far", "--json")
        #expect(revoked.status == 0, "\(revoked)")
        #expect(try revoked.json()["id"] as? String == node["id"] as? String)
        let gone = try #require(try await Self.nodes(network)["far"])
        #expect(gone["state"] as? String == "left")
        #expect(gone["reason"] as? String == "it was revoked")
        // It is refused when it dials again, and a use that is left of its ticket does not help.
        try await join.prints("IOR-1004")
        join.signal(SIGKILL)
        let again = try network.start(["join", ticket], state: state)
        let refused = try await again.finish(within: .seconds(20))
        #expect(refused.status != 0 && refused.errors.contains("IOR-1009"), "\(refused)")
        let peers = try await network.iorun("peers", "--json").json()["peers"] as? [[String: Any]]
        let peer = try #require(peers?.first { $0["name"] as? String == "far" })
        #expect(peer["revoked_at_unix_seconds"] != nil)
        #expect(try await network.iorun("revoke", "nobody").status == 4)
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `is shown by a certificate that follows the authority's keys`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        func files() throws -> [String] {
          try FileManager.default.contentsOfDirectory(atPath: network.state + "/node-1")
        }
        try await eventually("the certificate and the first keys are kept") {
          try files().contains { $0.hasPrefix("certificate-") }
        }
        let trust = try #require(try files().first { $0.hasPrefix("trust-") })
        func pinned() -> String { network.read("s/node-1/\(trust)") }
        let rotated = try await network.iorun("authority", "rotate", "--json").json()
        let keys = try #require(rotated["authorities"] as? [[String: Any]])
        #expect(keys.count == 2, "\(rotated)")
        let key = try #require(keys.last?["key"] as? String)
        // The nodes hear of it with their heartbeats, and have certificates of the new key soon.
        try await eventually("both nodes have renewed") {
          let shown = try await network.iorun("authority", "show", "--json").json()["authorities"]
          return ((shown as? [[String: Any]])?.last?["peers"] as? Int ?? 0) >= 2
            && pinned().contains(key)
        } detail: {
          pinned()
        }
        // Looser modes are refused: by a node that starts, and by the head.
        for (name, file) in [("node-1", "node-1/\(trust)"), ("head", "head/authority.key")] {
          kill(try network.pid(of: name), SIGKILL)
          chmod(network.state + "/" + file, 0o644)
          let up = try await network.iorun("up", within: .seconds(60))
          #expect(up.status != 0, "\(up)")
          #expect(network.read("s/log/\(name).log").contains("chmod 600"), "\(name): \(up)")
          chmod(network.state + "/" + file, 0o600)
        }
        #expect(try await network.iorun("up").status == 0)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `of a drained node stays, and its work goes elsewhere`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let drained = try await network.iorun("drain", "node-1")
        #expect(drained.status == 0 && drained.output.contains("no new work"), "\(drained)")
        let job = try await network.iorun("submit", "--json", "--", "true")
        #expect(job.status == 0, "\(job)")
        let ranks = try job.json()["ranks"] as? [[String: Any]]
        #expect(ranks?.first?["node_name"] as? String == "node-2", "\(job)")
        #expect(try await network.iorun("nodes").output.contains("alive (drained)"))
        #expect(try await network.iorun("undrain", "node-1").status == 0)
        #expect(try await Self.nodes(network)["node-1"]?["is_drained"] as? Bool == false)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `begins with a ticket that ps does not show, and leaves no key there`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await `A ticket`.ticket(.supplier, network, "--uses", "3")
        try network.write(ticket + "\n", to: "ticket")
        let ways: [(String, [String], [String: String], String?)] = [
          ("argument", ["join", ticket], [:], nil),
          ("file", ["join", "--ticket-file", network.root + "/ticket"], [:], nil),
          ("variable", ["join"], ["IORUN_TICKET": ticket], nil),
        ]
        for (name, arguments, variables, input) in ways {
          let join = try network.start(
            arguments + ["--name", name, "--cpus", "1"], state: network.root + "/" + name,
            environment: variables, input: input)
          try await eventually("\(name) is there") {
            try await network.nodeStates()[name] == "alive"
          } detail: {
            join.errors
          }
          // What the kernel shows to every user of the machine.
          let shown = FileManager.default.contents(atPath: "/proc/\(join.pid)/cmdline") ?? Data()
          let text = String(decoding: shown, as: UTF8.self)
          #expect(text.contains("join") && !text.contains(ticket.suffix(20)), "\(name): \(text)")
          let key = FileManager.default.contents(atPath: network.root + "/\(name)/node/node.key")
          #expect(shown.range(of: try #require(key)) == nil)
          join.signal(SIGKILL)
        }
        #expect(try await network.iorun("join", ticket, state: network.root + "/late").status == 5)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `of a killed agent ends with a reason, that of a stopped one does not`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        kill(try network.pid(of: "node-1"), SIGKILL)
        let stopped = try network.pid(of: "node-2")
        kill(stopped, SIGSTOP)
        defer { kill(stopped, SIGCONT) }
        try await eventually("one is dead and one out of reach", within: .seconds(40)) {
          let nodes = try await Self.nodes(network)
          return nodes["node-1"]?["state"] as? String == "dead"
            && nodes["node-2"]?["state"] as? String == "unreachable"
        } detail: {
          "\((try? await Self.nodes(network)) ?? [:])"
        }
        let nodes = try await Self.nodes(network)
        #expect((nodes["node-1"]?["reason"] as? String)?.contains("its agent has ended") == true)
        #expect((nodes["node-2"]?["reason"] as? String)?.contains("no word came") == true)
        kill(stopped, SIGCONT)
        try await eventually("it is back") {
          try await network.nodeStates()["node-2"] == "alive"
        }
      }
    }

    /// An agent that gets no processor, as on a machine that computes with all it has: here none at all.
    @Test(.timeLimit(.minutes(3)))
    func `of an agent that gets no processor for some seconds goes on, and so do its programs`()
      async throws
    {
      try await TestNetwork.with(nodes: 2, cpus: 1) { network in
        let job = try network.start([
          "submit", "--ranks", "2", "--", "sh", "-c", "echo up; read line; sleep 300",
        ])
        try await job.prints("[1] up")
        let starved = try network.pid(of: "node-2")
        kill(starved, SIGSTOP)
        defer { kill(starved, SIGCONT) }
        // Longer than any silence that makes one whose machine has vanished unreachable.
        let stopped = ContinuousClock.now
        var seen: Set<String> = []
        while ContinuousClock.now - stopped < .seconds(6) {
          seen.insert(try await network.nodeStates()["node-2"] ?? "none")
          try await Task.sleep(for: .milliseconds(100))
        }
        #expect(seen.isSubset(of: ["alive", "suspect"]) && seen.contains("suspect"), "\(seen)")
        kill(starved, SIGCONT)
        try await eventually("it is back") {
          try await network.nodeStates()["node-2"] == "alive"
        }
        let status = try await network.iorun("status", "--json").json()
        let jobs = try #require(status["jobs"] as? [[String: Any]])
        #expect(jobs.first?["state"] as? String == "running", "\(jobs)")
      }
    }

    private static func join(
      _ ticket: String, _ name: String, _ state: String, _ network: TestNetwork
    ) async throws -> RunningCommand {
      let join = try network.start(
        ["join", "-", "--name", name, "--cpus", "1"], state: state, input: ticket)
      try await eventually("\(name) is there") {
        try await network.nodeStates()[name] == "alive"
      } detail: {
        join.errors
      }
      return join
    }

    private static func nodes(_ network: TestNetwork) async throws -> [String: [String: Any]] {
      let result = try await network.iorun("nodes", "--json")
      let nodes = try result.json()["nodes"] as? [[String: Any]] ?? []
      return Dictionary(nodes.map { ($0["name"] as? String ?? "", $0) }) { $1 }
    }
  }
}
