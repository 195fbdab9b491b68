import Foundation
import Testing

/// What shifts a process's clock.
private enum FakeTime {
  static let library: String? = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
  ].first { FileManager.default.fileExists(atPath: $0) }
}

extension RealProcesses {
  /// Machines whose wall clocks are set under everything that runs, as by a time service that comes late.
  /// Debian's libfaketime shifts what a head and a node are told; their monotonic clocks go on.
  @Suite(
    .enabled(
      if: FakeTime.library != nil,
      "clocks are shifted by libfaketime (Debian package libfaketime), which is missing: SKIPPED"),
    .disabled(
      "what runs goes on, but a job that is submitted after the head's clock was set an hour ahead waits"
    ),
    .serialized)
  struct `A clock that jumps` {
    /// A process whose clock a test sets.
    private struct Machine {
      let network: TestNetwork
      let name: String

      /// Sets its clock to so many seconds beside the true time.
      func set(_ seconds: Int) throws {
        try network.write((seconds < 0 ? "" : "+") + "\(seconds)s\n", to: "clock-\(name)")
      }

      func start(_ arguments: [String], input: String? = nil) throws -> RunningCommand {
        try RunningCommand(
          Binaries.iorun, arguments, scratch: network.root + "/commands",
          environment: [
            "IORUN_STATE_DIR": "\(network.root)/\(name)",
            "LD_PRELOAD": FakeTime.library ?? "",
            "FAKETIME_TIMESTAMP_FILE": "\(network.root)/clock-\(name)",
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
          ], input: input, directory: network.root)
      }

      func iorun(_ arguments: String..., within limit: Duration = .seconds(40)) async throws
        -> CommandResult
      {
        try await start(arguments).finish(within: limit)
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `ends no node, no session and no rank, whichever way and however far`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let head = Machine(network: network, name: "head")
        let node = Machine(network: network, name: "node")
        for machine in [head, node] { try machine.set(0) }
        let address = "127.0.0.1:\(try FreePort.any())"
        let serving = try head.start(["head", "--listen", address, "--verification", "off"])
        try await serving.prints("tickets name \(address)")
        let ticket = try await head.iorun("ticket", "create", "--role", "supplier")
        let join = try node.start(
          ["join", "-", "--name", "node", "--cpus", "2", "--isolation", "open"],
          input: ticket.lines.last)
        var states: Set<String> = []
        func look() async throws -> String {
          let nodes = try await head.iorun("nodes", "--json").json()["nodes"] as? [[String: Any]]
          return nodes?.first { $0["name"] as? String == "node" }?["state"] as? String ?? ""
        }
        try await eventually("the node is there") {
          try await look() == "alive"
        } detail: {
          join.errors
        }
        let marks = network.root + "/marks"
        let submit = try head.start([
          "submit", "--ranks", "1", "--cpus", "1", "--json", "--timeout", "600s", "--", "sh", "-c",
          """
          echo began >> \(marks)
          i=0; until [ -e \(network.root)/stop ]; do i=$((i+1)); echo line $i; sleep 0.05; done
          """,
        ])
        try await eventually("the rank runs") { network.read("marks") == "began\n" }
        let id = try #require(
          (try await head.iorun("status", "--json").json()["jobs"] as? [[String: Any]])?
            .first?["id"] as? String)
        // An hour ahead, two hours back, and three days ahead, which is longer than certificates live;
        // on one side, then on the other.
        for (machine, seconds) in [
          (head, 3600), (node, -7200), (head, -3600), (node, 259_200), (head, 259_200), (head, 0),
          (node, 0),
        ] {
          try machine.set(seconds)
          let before = try await head.iorun("logs", id, "--rank", "0").lines.count
          // Heartbeats and logs go on for a while by the new clock.
          try await eventually("its log goes on after \(machine.name) was set to \(seconds) s") {
            states.insert(try await look())
            return try await head.iorun("logs", id, "--rank", "0").lines.count > before + 40
          } detail: {
            "\(states) \(join.errors) \(serving.errors)"
          }
          let other = try await head.iorun("submit", "--", "echo", "works")
          #expect(other.status == 0 && other.lines == ["works"], "\(machine.name) \(other)")
        }
        try network.write("", to: "stop")
        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(try result.json()["attempt"] as? Int == 1, "\(result)")
        #expect(network.read("marks") == "began\n", "it ran twice")
        #expect(states == ["alive"], "a clock's jump is nobody's silence")
        #expect(serving.isRunning && join.isRunning)
      }
    }
  }
}
