import Foundation
import Testing

extension RealProcesses {
  /// A Swift program of a runtime job: `Tests/Support/ClusterProgram`.
  @Suite(.serialized)
  struct `A Swift cluster program` {
    @Test(.timeLimit(.minutes(4)))
    func `uses tasks, actors and objects of one node`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        for scenario in [
          "tasks", "errors", "cancel", "streams", "objects", "actors", "named", "groups", "parts",
          "environment", "labels", "retries", "recursive", "backpressure", "flood", "lanes",
          "stillborn",
        ] {
          try await Self.run(scenario, network)
        }
        try await Self.run("detach", network)
        try await Self.run("attach", network)
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `is told which GPUs it was given`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let up = try await network.iorun("up", "--nodes", "1", "--cpus", "4", "--gpus", "3")
        try #require(up.status == 0, "\(up)")
        try await Self.run("gpus", network)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `uses those of other nodes`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        try await Self.run("nodes", network)
        try await Self.run("broken-far", network)
        try await Self.run("folder-far", network)
        // An actor that outlives its driver is called by the next one, on another node.
        try await Self.run("detach-far", network)
        try await Self.run("attach-far", network)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `has its calls run in their order, a hundred thousand of them`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        try await Self.run("order", network)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `has its calls run in their order, once each, when the nodes lose each other`()
      async throws
    {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        let program = try network.startCluster("far-order")
        let head = try network.pid(of: "head")
        for round in 1...2 {
          try await eventually("\(round) of two are under way") {
            program.output.components(separatedBy: "under way").count > round
          } detail: {
            program.errors
          }
          // Both nodes give their links to the head up while it hears nothing, and make new ones; what
          // went through it goes on over those, what went directly is not held up.
          try await eventually("the nodes are linked to the head") {
            try !network.linksToHead().isEmpty
          }
          let links = try network.linksToHead()
          kill(head, SIGSTOP)
          defer { kill(head, SIGCONT) }
          try await eventually("the links are given up", within: .seconds(20)) {
            try network.linksToHead().isDisjoint(with: links)
          }
        }
        try Self.check(try await program.finish(within: .seconds(40)), "far-order")
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `has results made again that were lost with a node`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        let program = try network.startCluster("lineage")
        try await program.prints("on node-")
        let name = try #require(
          program.output.split(separator: "\n").last?.split(separator: " ").last)
        kill(try network.pid(of: String(name)), SIGKILL)
        try Self.check(try await program.finish(within: .seconds(50)), "lineage")
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `has an actor made that was promised by a head that was killed`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        let program = try network.startCluster("promised")
        try await program.prints("the other is node-")
        let name = try #require(
          program.output.split(separator: "\n").last?.split(separator: " ").last)
        let (head, node) = (try network.pid(of: "head"), try network.pid(of: String(name)))
        // It is there for the head, and hears nothing any more.
        kill(node, SIGSTOP)
        defer { kill(node, SIGCONT) }
        try network.write("", to: "seen")
        try await program.prints("promised")
        kill(head, SIGKILL)
        kill(node, SIGKILL)
        try await eventually("both are gone") {
          !ProcessScan.isRunning(head) && !ProcessScan.isRunning(node)
        }
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        try Self.check(try await program.finish(within: .seconds(40)), "promised")
      }
    }

    /// A rank holds a processor of one of the nodes for as long as the test lasts.
    @Test(.timeLimit(.minutes(3)))
    func `runs nested tasks beside a rank of a gang`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        let rank = try await network.iorun("submit", "--detach", "--", "sleep", "60")
        try #require(rank.status == 0, "\(rank)")
        try await Self.run("gang", network)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `is listed with its tasks that run and that wait`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        let program = try network.startCluster("running")
        try await program.prints("listed now")
        try await eventually("one runs, one waits, one is over") {
          let rows = try await network.iorun("list", "tasks", "--json").json()["items"]
          let states = (rows as? [[String: Any]] ?? []).map {
            "\($0["name"] ?? ""): \($0["state"] ?? "")"
          }
          return Set(states) == [
            "cluster_program.Forever: RUNNING", "cluster_program.Forever: PENDING",
            "cluster_program.Square: FINISHED",
          ]
        }
        try network.write("", to: "seen")
        try Self.check(try await program.finish(within: .seconds(20)), "running")
      }
    }

    /// Its shared memory is given back by a process of its own, for which `down` does not wait.
    @Test(.timeLimit(.minutes(3)))
    func `is ended by down, which leaves nothing of it behind`() async throws {
      try await TestNetwork.with(nodes: 2, cpus: 2) { network in
        let program = try network.startCluster("running")
        try await program.prints("listed now")
        let nodes = try await network.iorun("nodes", "--json").json()["nodes"]
        let ids = (nodes as? [[String: Any]] ?? []).compactMap { $0["id"] as? String }
        try #require(ids.count == 2)
        let arenas = {
          try FileManager.default.contentsOfDirectory(atPath: "/dev/shm").filter { name in
            ids.contains { name.hasPrefix("iorun-\($0)") }
          }
        }
        try #require(!arenas().isEmpty)
        let down = try await network.iorun("down")
        #expect(down.status == 0, "\(down)")
        #expect(try arenas() == [])
        // The driver is somebody's own program, and goes on without its job until it has enough.
        #expect(ProcessScan.isRunning(program.pid))
        try network.write("", to: "seen")
        _ = try await program.finish(within: .seconds(20))
        try await eventually("no process stays", within: .seconds(10)) {
          ProcessScan.all(network.root).isEmpty
        } detail: {
          "\(ProcessScan.all(network.root))"
        }
      }
    }

    /// The second node sees an empty folder where the program lies: a mount of its own hides it.
    @Test(
      .enabled(if: Privileges.canMakeNamespaces, "a mount of its own needs root: SKIPPED"),
      .timeLimit(.minutes(3)))
    func `runs on nodes that do not have it`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        let folder = network.root + "/app"
        try FileManager.default.createDirectory(
          atPath: folder, withIntermediateDirectories: false)
        try FileManager.default.copyItem(
          atPath: Binaries.clusterProgram, toPath: folder + "/program")
        let ticket = try await network.iorun("ticket", "create", "--role", "supplier")
        try #require(ticket.status == 0, "\(ticket)")
        let node = try RunningCommand(
          "/usr/bin/env",
          [
            "unshare", "--mount", "sh", "-c",
            "mount -t tmpfs none '\(folder)' && exec '\(Binaries.iorun)' join - --name bare --cpus 2",
          ], scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.root + "/bare"], input: ticket.lines.last,
          directory: network.root)
        defer { node.signal(SIGTERM) }
        try await eventually("the node is there") {
          let nodes = try await network.iorun("nodes", "--json").json()["nodes"]
          return (nodes as? [[String: Any]] ?? []).contains { $0["name"] as? String == "bare" }
        } detail: {
          node.errors
        }
        let end = try await RunningCommand(
          folder + "/program", ["nodes"], scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.state], directory: network.root
        ).finish(within: .seconds(40))
        try Self.check(end, "nodes")
        // By its content, below the node's own folder, as the agent sees it: on encrypted scratch.
        let programs = try FileManager.default.subpathsOfDirectory(
          atPath: "/proc/\(node.pid)/root\(network.root)/bare"
        ).filter { $0.contains("programs/") }
        #expect(programs.contains { $0.hasSuffix("/program") }, "\(programs)")
      }
    }

    @Test
    func `says what to do where no network runs`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let end = try await network.startCluster("tasks").finish(within: .seconds(20))
        #expect(end.status == 1)
        #expect(end.errors.contains("iorun up"), "\(end)")
      }
    }

    private static func run(_ scenario: String, _ network: TestNetwork) async throws {
      try check(
        try await network.startCluster(scenario).finish(within: .seconds(50)), scenario)
    }

    private static func check(_ end: CommandResult, _ scenario: String) throws {
      #expect(end.status == 0, "\(end)")
      #expect(end.output.contains("ok \(scenario)"), "\(end)")
    }
  }
}

extension TestNetwork {
  /// The local ports of the connections that lead to this network's head, as the kernel lists them.
  fileprivate func linksToHead() throws -> Set<Substring> {
    let record = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: state + "/network.json")))
    let address = try #require((record as? [String: Any])?["headAddress"] as? String)
    let port = try #require(address.split(separator: ":").last.flatMap { UInt16($0) })
    let suffix = ":" + String(format: "%04X", Int(port))
    let rows = ["/proc/net/tcp", "/proc/net/tcp6"].flatMap { read($0).split(separator: "\n") }
      .map { $0.split(separator: " ") }
    // Columns: number, local address, remote address, state; 01 is an established connection.
    return Set(
      rows.compactMap { row in
        row.count > 3 && row[2].hasSuffix(suffix) && row[3] == "01" ? row[1] : nil
      })
  }

  /// Starts a scenario of the cluster program as a driver in this network.
  fileprivate func startCluster(_ scenario: String) throws -> RunningCommand {
    try RunningCommand(
      Binaries.clusterProgram, [scenario], scratch: root + "/commands",
      environment: [
        "IORUN_STATE_DIR": state, "SEEN": root + "/seen",
        // Calls of several threads at once have no order that a test could know.
        "IORUN_RUNTIME_THREADS": scenario.hasSuffix("order") || scenario == "retries" ? "1" : "2",
      ], directory: root)
  }
}
