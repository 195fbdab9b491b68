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

    @Test(.timeLimit(.minutes(3)))
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

    @Test(.timeLimit(.minutes(4)))
    func `two ranks train one network, one rank on each side`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        try await Self.linked(network) { world in
          try await world.join("near", in: "head")
          try await world.join("far", in: "node")
          // Each rank wants all cores that a node offers, so that both nodes are needed.
          let spec = try network.writeDigitsJob(epochs: 1)
          let submit = try await world.iorun("submit", spec, within: .seconds(100))
          try #require(submit.status == 0, "\(submit)")
          #expect(submit.lines.first?.hasPrefix("[0] epoch 1/1") == true, "\(submit)")
          #expect(submit.errors.contains("2 ranks on 2 nodes"), "\(submit)")
          #expect(submit.lines.last?.contains("2 ranks, which agree") == true, "\(submit)")
        }
      }
    }

    /// 200 ms and 1 % loss: what the figures of the failure detector are for.
    private static let longPath = LinkSettings(
      roundTrip: .milliseconds(200), jitter: .milliseconds(5), loss: 0.01,
      bitsPerSecond: 100_000_000)

    @Test(.timeLimit(.minutes(4)))
    func `a cut of ten seconds kills nobody and repeats nothing, a vanished host is noticed`()
      async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await Self.linked(network, Self.longPath) { world in
          try await world.join("far", in: "node")
          let marks = network.root + "/marks"
          let submit = try world.start(
            [
              "submit", "--ranks", "1", "--retries", "1", "--json", "--", "sh", "-c",
              "echo began >> \(marks); sleep 24; echo ended",
            ], in: "head", state: "s")
          try await eventually("the rank runs") { network.read(marks) == "began\n" }
          let link = try #require(world.link)
          kill(link, SIGSTOP)
          let cut = ContinuousClock.now
          var states: [String] = []
          func look() async throws {
            let node = try await world.node("far")
            let state = node["state"] as? String ?? ""
            if states.last != state {
              states.append(state)
              print("after \(ContinuousClock.now - cut): \(state): \(node["reason"] ?? "-")")
            }
          }
          while ContinuousClock.now - cut < .seconds(10) {
            try await look()
            try await Task.sleep(for: .milliseconds(100))
          }
          kill(link, SIGCONT)
          try await eventually("it is back", within: .seconds(25)) {
            try await look()
            return states.last == "alive"
          } detail: {
            "\(states)"
          }
          #expect(states.contains("unreachable") && !states.contains("dead"), "\(states)")
          let result = try await submit.finish(within: .seconds(60))
          #expect(result.status == 0, "\(result)")
          #expect(try result.json()["attempt"] as? Int == 1, "\(result)")
          #expect(network.read(marks) == "began\n", "it was run twice")

          // Now the host is gone without a word. The link goes on at the end: it must hear of its own.
          kill(link, SIGSTOP)
          defer { kill(link, SIGCONT) }
          let gone = ContinuousClock.now
          try await eventually("its loss is noticed", within: .seconds(20)) {
            try await world.node("far")["state"] as? String == "unreachable"
          }
          print("a vanished host was found out of reach after \(ContinuousClock.now - gone)")
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `a head that is killed and started again loses no node, no rank and no line`() async throws
    {
      try await TestNetwork.with(nodes: 0) { network in
        try await Self.linked(network, Self.longPath) { world in
          try await world.join("far", in: "node")
          let marks = network.root + "/marks"
          let submit = try world.start(
            [
              "submit", "--ranks", "1", "--retries", "1", "--json", "--", "sh", "-c",
              """
              echo began >> \(marks)
              i=0; until [ -e \(network.root)/stop ]; do i=$((i+1)); echo line $i; sleep 0.05; done
              echo last $i
              """,
            ], in: "head", state: "s")
          try await eventually("the rank runs") { network.read("marks") == "began\n" }
          let job = try #require(
            (try await world.iorun("status", "--json").json()["jobs"] as? [[String: Any]])?
              .first?["id"] as? String)
          func lines() async throws -> [String] {
            try await world.iorun("logs", job, "--rank", "0").lines
          }
          try await eventually("it is heard") { try await lines().count > 20 }
          // Twice: the second time in the midst of coming back from the first.
          for _ in 0..<2 {
            let head = try #require(world.head)
            kill(head, SIGKILL)
            try await eventually("the head is gone") { !ProcessScan.isRunning(head) }
            try await world.startHead()
          }
          var states: Set<String> = []
          try await eventually("the node is back") {
            states.insert(try await world.node("far")["state"] as? String ?? "")
            return states.contains("alive")
          } detail: {
            "\(states)"
          }
          let far = try await lines().count
          try await eventually("the log goes on") {
            states.insert(try await world.node("far")["state"] as? String ?? "")
            return try await lines().count > far + 40
          }
          try network.write("", to: "stop")
          let result = try await submit.finish(within: .seconds(60))
          #expect(result.status == 0, "\(result)")
          #expect(try result.json()["attempt"] as? Int == 1, "\(result)")
          #expect(network.read("marks") == "began\n", "it was run twice")
          #expect(!states.contains("dead") && !states.contains("left"), "\(states)")
          let all = try await lines()
          #expect(all == (1..<all.count).map { "line \($0)" } + ["last \(all.count - 1)"])
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

      /// The process that carries the link's packets.
      var link: pid_t? {
        let name = namespaces.name("node")
        return ProcessScan.all(name).first { $0.commandLine.contains("wan-link") }?.pid
      }

      /// The head's process.
      var head: pid_t? {
        ProcessScan.all(network.root).first { $0.commandLine.contains("iorun head --listen") }?.pid
      }

      /// Starts the head, with what it knew before.
      func startHead() async throws {
        let address = WanLinkProcess.addresses.a + ":7070"
        let head = try start(
          ["head", "--listen", address, "--verification", "off"], in: "head", state: "s")
        try await head.prints("tickets name \(address)")
      }

      /// A node as the head sees it.
      func node(_ name: String) async throws -> [String: Any] {
        let nodes = try await iorun("nodes", "--json").json()["nodes"] as? [[String: Any]] ?? []
        return nodes.first { $0["name"] as? String == name } ?? [:]
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
      _ network: TestNetwork, _ settings: LinkSettings = path,
      _ body: (World) async throws -> Void
    ) async throws {
      try await NetworkNamespaces.with("head", "node") { namespaces in
        try await WanLinkProcess.with(
          in: namespaces, from: "head", to: "node", settings: settings
        ) {
          let world = World(network: network, namespaces: namespaces)
          try await world.startHead()
          try await body(world)
        }
      }
    }
  }
}
