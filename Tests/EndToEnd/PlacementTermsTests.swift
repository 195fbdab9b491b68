import Foundation
import Testing

extension RealProcesses {
  /// Nodes of three suppliers with prices and places, and jobs that ask for them.
  @Suite(.serialized)
  struct `A job's terms` {
    private static let nodes: [(name: String, price: String, country: String)] = [
      (name: "a", price: "0.05", country: "DE"), ("b", "0.08", "DE"), ("c", "0.2", "US"),
    ]

    /// A head and the nodes, each of a supplier and with a state folder of its own.
    private static func withNodes(_ body: (TestNetwork) async throws -> Void) async throws {
      try await TestNetwork.with(nodes: 0) { network in
        // Proofs of three nodes would take the cores that their heartbeats need.
        let head = try network.start([
          "head", "--listen", "127.0.0.1:\(try FreePort.any())", "--verification", "off",
        ])
        try await head.prints("ticket create --role supplier")
        var joins: [RunningCommand] = []
        for node in nodes {
          let ticket = try await `A ticket`.ticket(
            .supplier, network, "--owner", "supplier-\(node.name)", "--peer-label",
            "iorun.io/security-soc2=\(node.name)")
          joins.append(
            try network.start(
              [
                "join", "-", "--name", node.name, "--cpus", "4", "--price-per-hour", node.price,
                "--country", node.country, "--labels", #"{"rack": "\#(node.name)7"}"#,
                // Its jobs look at files of this machine.
                "--isolation", "open",
              ], state: "\(network.root)/\(node.name)", input: ticket))
        }
        try await eventually("the nodes are there") {
          try await network.nodeStates() == ["a": "alive", "b": "alive", "c": "alive"]
        } detail: {
          joins.map(\.errors).joined()
        }
        try await body(network)
      }
    }

    /// The nodes of `submit --plan`, or its words.
    private static func plan(_ network: TestNetwork, _ arguments: String...) async throws -> (
      nodes: [String], refusal: String
    ) {
      let running = try network.start(
        ["submit", "--plan", "--json"] + arguments + ["--", "true"])
      let result = try await running.finish()
      let plan = try result.json()
      let places = plan["places"] as? [[String: Any]] ?? []
      #expect(result.status == (places.isEmpty ? 2 : 0), "\(result)")
      return (
        places.compactMap { $0["node_name"] as? String }.sorted(),
        plan["refusal"] as? String ?? ""
      )
    }

    @Test(.timeLimit(.minutes(4)))
    func `choose nodes by label, price, supplier and region, and say what would help`()
      async throws
    {
      try await Self.withNodes { network in
        #expect(try await Self.plan(network, "--label", "country=US").nodes == ["c"])
        #expect(try await Self.plan(network, "--label", "country=!in(US,FR)").nodes != ["c"])
        #expect(try await Self.plan(network, "--label", "rack=in(b7,z9)").nodes == ["b"])
        #expect(
          try await Self.plan(network, "--label", "iorun.io/security-soc2=c").nodes == ["c"])
        #expect(
          try await Self.plan(network, "--ranks", "3", "--spread-over", "supplier").nodes
            == ["a", "b", "c"])
        #expect(
          try await Self.plan(network, "--ranks", "2", "--spread-over", "region").nodes
            .contains("c"))
        #expect(
          Set(try await Self.plan(network, "--ranks", "8", "--max-price", "0.08").nodes)
            == ["a", "b"])

        let dear = try await Self.plan(network, "--max-price", "0.01").refusal
        #expect(dear.contains("3 dearer than $0.01") && dear.contains("raise max_price to 0.05"))
        let misspelt = try await Self.plan(network, "--label", "country=USA").refusal
        #expect(misspelt.contains("leave out label country=USA (nodes say DE, US)"), "\(misspelt)")
        let apart = try await Self.plan(network, "--ranks", "3", "--spread-over", "region").refusal
        #expect(apart.contains("lower ranks to 2"), "\(apart)")

        let offers = try await network.iorun(
          "offers", "--ranks", "2", "--spread-over", "supplier", "--json", "--", "true")
        #expect(offers.status == 0, "\(offers)")
        let list = try #require(try offers.json()["offers"] as? [[String: Any]])
        let prices = list.compactMap { $0["dollars_per_hour"] as? Double }
        #expect(prices.count == list.count && abs((prices.min() ?? 0) - 0.13) < 1e-9, "\(offers)")
        let none = try await network.iorun(
          "offers", "--label", "country=JP", "--json", "--", "true")
        #expect(none.status == 2, "\(none)")

        // A node cannot vouch for itself.
        let liar = try await network.iorun(
          "join", "-", "--name", "liar", "--labels", #"{"iorun.io/security-soc2": "x"}"#,
          state: "\(network.root)/liar", input: try await `A ticket`.ticket(.supplier, network))
        #expect(liar.status == 64 && liar.errors.contains("IOR-1301"), "\(liar)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `replace a lost node by a spare, give up by start_by, and count against quotas`()
      async throws
    {
      try await Self.withNodes { network in
        let script = "until [ -e \(network.root)/go ]; do sleep 0.1; done; echo $IORUN_ATTEMPT"
        let id = try await network.detach(
          "--ranks", "2", "--cpus", "3", "--spread-over", "supplier", "--spares", "1", "--on-loss",
          "replace", "--", "sh", "-c", script)
        let first = try await network.job(id, reaches: "running")
        let used = Self.nodes(of: first)
        // The third place is the spare's: nothing else fits.
        let late = try await network.iorun(
          "submit", "--cpus", "2", "--start-by", "2s", "--", "true")
        #expect(late.status == 3, "\(late)")
        #expect(late.errors.contains("start_by"), "\(late)")

        let lost = try #require(used.first)
        let agent = try #require(
          ProcessScan.all("\(network.root)/\(lost)").first { $0.commandLine.contains("join") })
        kill(agent.pid, SIGKILL)
        try await eventually("the ranks run on the others", within: .seconds(90)) {
          let job = try await network.job(id)
          return job["state"] as? String == "running"
            && Set(Self.nodes(of: job)) == Set(Self.nodes.map(\.name)).subtracting([lost])
        }
        try network.write("", to: "go")
        _ = try await network.job(id, reaches: "succeeded")

        let set = try await network.iorun("quota", "set", "team", "--cpus", "2", "--json")
        #expect(set.status == 0, "\(set)")
        let tenants = try await network.iorun("quota", "list", "--json").json()["tenants"]
        let team = (tenants as? [[String: Any]])?.first { $0["tenant"] as? String == "team" }
        #expect((team?["quota"] as? [String: Any])?["cpus"] as? Double == 2, "\(tenants ?? "")")
        // Who has no quota gets what is nobody's: 8 cores are alive, 2 of them the team's.
        let job = try await network.detach("--ranks", "7", "--", "true")
        try await eventually("it waits for its quota") {
          (try await network.job(job)["reason"] as? String)?.contains("quota") == true
        }
        #expect(try await network.iorun("quota", "remove", "team").status == 0)
        _ = try await network.job(job, reaches: "succeeded")
      }
    }

    private static func nodes(of job: [String: Any]) -> [String] {
      (job["ranks"] as? [[String: Any]] ?? []).compactMap { $0["node_name"] as? String }
    }
  }
}
