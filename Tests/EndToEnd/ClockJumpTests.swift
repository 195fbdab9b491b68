import Foundation
import Testing

extension RealProcesses {
  /// Machines whose wall clocks are set under everything that runs, as by a time service that comes late.
  @Suite(
    .enabled(
      if: SetClock.library != nil,
      "clocks are set by a library that a C compiler makes, and there is none: SKIPPED"),
    .serialized)
  struct `A clock that jumps` {
    /// The head and a node of two, each with a clock of its own, and the node beside them whose clock is
    /// never set.
    private struct World {
      let head: ClockedMachine
      let node: ClockedMachine
      let address: String
      var serving: RunningCommand
      var joined: [RunningCommand] = []

      init(_ network: TestNetwork) async throws {
        head = ClockedMachine(network: network, name: "head")
        node = ClockedMachine(network: network, name: "node-1")
        let other = ClockedMachine(network: network, name: "node-2")
        for machine in [head, node, other] { try machine.set(0) }
        address = "127.0.0.1:\(try FreePort.any())"
        serving = try await Self.serve(head, address)
        for machine in [node, other] {
          let ticket = try await head.iorun("ticket", "create", "--role", "supplier")
          joined.append(
            try machine.start(
              ["join", "-", "--name", machine.name, "--cpus", "3", "--isolation", "open"],
              input: ticket.lines.last))
        }
      }

      static func serve(_ head: ClockedMachine, _ address: String) async throws -> RunningCommand {
        let serving = try head.start(["head", "--listen", address, "--verification", "off"])
        try await serving.prints("tickets name \(address)")
        return serving
      }

      /// The states of the nodes, as the head tells them.
      func states() async throws -> [String] {
        let nodes = try await head.iorun("nodes", "--json").json()["nodes"] as? [[String: Any]]
        return nodes?.compactMap { $0["state"] as? String } ?? []
      }

      /// What all processes said, for who looks for a fault.
      var words: String { ([serving] + joined).map(\.errors).joined(separator: "\n") }
    }

    @Test(.timeLimit(.minutes(5)))
    func `ends no node, no session and no rank, whichever way and however far`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        var world = try await World(network)
        let (head, node) = (world.head, world.node)
        try await eventually("the nodes are there") {
          try await world.states() == ["alive", "alive"]
        } detail: {
          world.words
        }
        // A gang over both nodes, with a limit that a clock which is believed would pass.
        let submit = try head.start([
          "submit", "--ranks", "2", "--cpus", "2", "--json", "--timeout", "600s", "--", "sh", "-c",
          """
          echo began $RANK >> \(network.root)/marks
          i=0; until [ -e \(network.root)/stop ]; do i=$((i+1)); echo line $i; sleep 0.05; done
          """,
        ])
        func marks() -> [Substring] { network.read("marks").split(separator: "\n").sorted() }
        try await eventually("the gang runs") { marks() == ["began 0", "began 1"] }
        let id = try #require(
          (try await head.iorun("status", "--json").json()["jobs"] as? [[String: Any]])?
            .first?["id"] as? String)
        var seen: Set<String> = []
        /// The gang's logs go on, and with them the heartbeats; and what is new is run.
        func goesOn(_ when: String) async throws {
          func printed(_ rank: String) async throws -> Int {
            try await head.iorun("logs", id, "--rank", rank).lines.count
          }
          let before = (try await printed("0"), try await printed("1"))
          try await eventually("the logs go on \(when)") {
            seen.formUnion(try await world.states())
            let now = (try await printed("0"), try await printed("1"))
            return now.0 > before.0 + 40 && now.1 > before.1 + 40
          } detail: {
            "\(seen) \(world.words)"
          }
          let new = try await head.iorun("submit", "--cpus", "1", "--", "echo", "works")
          #expect(new.status == 0 && new.lines == ["works"], "\(when): \(new)")
        }
        // An hour ahead and back, and three days, which is longer than certificates live; on one side
        // and on both.
        for (machine, seconds) in [
          (head, 3600), (head, -3600), (node, 3600), (node, -3600), (node, 259_200),
          (head, 259_200), (head, 0), (node, 0),
        ] {
          try machine.set(seconds)
          try await goesOn("after \(machine.name) was set to \(seconds) s")
          guard machine.name == head.name else { continue }
          let jobs = try await head.iorun("status", "--json").json()["jobs"] as? [[String: Any]]
          let times = jobs?.compactMap { $0["submitted_at_unix_seconds"] as? Double } ?? []
          let ahead = times.map { $0 - Date().timeIntervalSince1970 - Double(seconds) }
          #expect(ahead.contains { abs($0) < 300 }, "the head's clock was not set: \(ahead)")
        }
        #expect(seen == ["alive"], "a clock's jump is nobody's silence")
        #expect(world.serving.isRunning && world.joined.allSatisfy(\.isRunning))

        // A head that comes back an hour ahead: sessions are resumed, and the gang is not too old.
        world.serving.signal(SIGKILL)
        _ = try await world.serving.finish()
        try head.set(3600)
        world.serving = try await World.serve(head, world.address)
        try await eventually("the nodes are back") {
          try await world.states() == ["alive", "alive"]
        } detail: {
          world.words
        }
        try await goesOn("under a head that started an hour ahead")

        try network.write("", to: "stop")
        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(try result.json()["attempt"] as? Int == 1, "\(result)")
        #expect(marks() == ["began 0", "began 1"], "no rank ran twice")
      }
    }
  }
}
