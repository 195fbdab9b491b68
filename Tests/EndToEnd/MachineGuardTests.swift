import Foundation
import Testing

extension RealProcesses {
  /// A node that watches its machine. Its scope is a control group of the test's own, so that nothing
  /// else on the machine is looked at.
  @Suite(
    .serialized,
    .enabled(
      if: Privileges.canMakeNamespaces
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap"),
      "needs root, iproute2, nftables and bubblewrap"))
  struct `A guarded machine` {
    @Test(.timeLimit(.minutes(4)))
    func `stops a foreign container, and neither its own ranks nor the machine's programs`()
      async throws
    {
      try await Self.with("--guard", "exclusive") { world in
        let program = try world.start(["sleep", "681"])
        let job = try await world.network.detach("--", "sleep", "682")
        _ = try await world.network.job(job, reaches: "running")
        let intruder = try world.start(Self.container)
        let end = try await intruder.finish()
        #expect(end.status == 128 + SIGKILL, "\(end) \(world.agent.errors.suffix(3000))")
        var record: [String: Any] = [:]
        try await eventually("the incident is shown") {
          record = try await world.record()
          return Self.incidents(record).contains {
            ($0["process_id"] as? NSNumber)?.int32Value == intruder.pid
              && $0["is_stopped"] as? Bool == true
          }
        } detail: {
          "\(record)"
        }
        #expect(world.agent.errors.contains("the guard stopped a process"))
        // Looks at all of it once more: the guard does so every five seconds.
        let second = try world.start(Self.container)
        _ = try await second.finish()
        #expect(program.isRunning)
        // Who reaches into a rank is not somebody else's container either.
        let inside = try await world.network.iorun("exec", job, "--", "sh", "-c", "sleep 1; id -u")
        let seen = try await world.record()
        #expect(inside.output == "1000\n", "\(inside) \(seen)")
        #expect(try await world.network.job(job)["state"] as? String == "running")
        let stopped = Self.incidents(record).filter { $0["is_stopped"] as? Bool == true }
        #expect(
          stopped.allSatisfy {
            ($0["program"] as? String)?.hasSuffix("/sleep") != true
              || ($0["process_id"] as? NSNumber)?.int32Value != program.pid
          }, "\(stopped)")
        let text = try await world.network.iorun("worker", "show", state: world.state)
        #expect(text.output.contains("guard: exclusive, "), "\(text)")
      }
    }

    @Test(
      .timeLimit(.minutes(4)),
      arguments: [["--guard", "shared"], ["--guard", "exclusive", "--guard-dry-run"]])
    func `only reports a foreign container where it is shared or in a dry run`(
      flags: [String]
    ) async throws {
      try await Self.with(flags) { world in
        let foreign = try world.start(Self.container)
        var record: [String: Any] = [:]
        try await eventually("the incident is shown") {
          record = try await world.record()
          return Self.incidents(record).contains {
            ($0["process_id"] as? NSNumber)?.int32Value == foreign.pid
          }
        } detail: {
          "\(record) \(world.agent.errors.suffix(2000))"
        }
        #expect((record["stopped"] as? NSNumber)?.intValue == 0, "\(record)")
        #expect(foreign.isRunning)
      }
    }

    /// crun refuses machines that have both versions of control groups.
    private static let runtimes = ["/usr/bin/runc", "/usr/bin/crun"].filter { file in
      FileManager.default.isExecutableFile(atPath: file)
        && !(file.hasSuffix("crun")
          && FileManager.default.fileExists(atPath: "/sys/fs/cgroup/unified"))
    }

    @Test(
      .timeLimit(.minutes(4)),
      .enabled(if: !runtimes.isEmpty, "no OCI runtime is installed: SKIPPED"),
      arguments: runtimes)
    func `stops a container that an OCI runtime starts`(runtime: String) async throws {
      try await Self.with("--guard", "exclusive") { world in
        let bundle = world.network.root + "/bundle"
        let name = "iorun-guard-\(getpid())"
        try await Self.makeBundle(bundle, runtime, command: ["/bin/sleep", "684"], world)
        let program = try world.start(["sleep", "681"])
        let state = ["--root", bundle + "/state"]
        let intruder = try world.start([runtime] + state + ["run", "--bundle", bundle, name])
        let end = try await intruder.finish()
        // What a killed runtime leaves behind is its user's to remove.
        _ = try await RunningCommand(
          runtime, state + ["delete", "--force", name],
          scratch: world.network.root + "/commands", environment: [:]
        ).finish()
        #expect(end.status != 0, "\(end)")
        var record: [String: Any] = [:]
        try await eventually("the incident is shown, and nothing of it runs") {
          record = try await world.record()
          return Self.incidents(record).contains { $0["is_stopped"] as? Bool == true }
            && !ProcessScan.all("684").contains { $0.commandLine.contains("sleep") }
        } detail: {
          "\(record) \(world.agent.errors.suffix(2000))"
        }
        #expect(program.isRunning)
      }
    }

    /// A bundle whose root has this machine's `/usr`.
    private static func makeBundle(
      _ bundle: String, _ runtime: String, command: [String], _ world: World
    ) async throws {
      let root = bundle + "/rootfs"
      try FileManager.default.createDirectory(
        atPath: root + "/usr", withIntermediateDirectories: true)
      for name in ["bin", "lib", "lib64"] {
        try FileManager.default.createSymbolicLink(
          atPath: root + "/" + name, withDestinationPath: "usr/" + name)
      }
      let made = try await RunningCommand(
        runtime, ["spec", "--bundle", bundle], scratch: world.network.root + "/commands",
        environment: [:]
      ).finish()
      try #require(made.status == 0, "\(made)")
      let file = URL(fileURLWithPath: bundle + "/config.json")
      var specification =
        try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any] ?? [:]
      var process = specification["process"] as? [String: Any] ?? [:]
      process["terminal"] = false
      process["args"] = command
      specification["process"] = process
      let mounts = specification["mounts"] as? [[String: Any]] ?? []
      specification["mounts"] =
        mounts + [
          [
            "destination": "/usr", "type": "bind", "source": "/usr", "options": ["rbind", "ro"],
          ] as [String: Any]
        ]
      try JSONSerialization.data(withJSONObject: specification).write(to: file)
    }

    private static let container = [
      "bwrap", "--ro-bind", "/", "/", "--unshare-pid", "--dev", "/dev", "--proc", "/proc",
      "sleep", "683",
    ]

    private static func incidents(_ record: [String: Any]) -> [[String: Any]] {
      record["incidents"] as? [[String: Any]] ?? []
    }

    /// A guarded node, and the control group that its guard looks at.
    private struct World {
      let network: TestNetwork
      let agent: RunningCommand
      let group: String
      var state: String { network.root + "/far" }

      /// Starts a program in the group.
      func start(_ words: [String]) throws -> RunningCommand {
        try RunningCommand(
          "/bin/sh",
          ["-c", "echo $$ > \(group)/cgroup.procs && exec \"$0\" \"$@\""] + words,
          scratch: network.root + "/commands", environment: ["IORUN_TEST": network.root])
      }

      /// What the guard saw.
      func record() async throws -> [String: Any] {
        let show = try await network.iorun("worker", "show", "--json", state: state)
        let status = try show.json()["status"] as? [String: Any]
        return status?["guard"] as? [String: Any] ?? [:]
      }
    }

    private static func with(
      _ flags: String..., body: (World) async throws -> Void
    ) async throws {
      try await with(flags, body)
    }

    private static func with(
      _ flags: [String], _ body: (World) async throws -> Void
    ) async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let drained = try await network.iorun("drain", "node-1")
        try #require(drained.status == 0, "\(drained)")
        let ticket = try await `A ticket`.ticket(.supplier, network)
        // On a machine with both versions the agent is in the group, too, so that its own sandboxes
        // are looked at; where there is version 2 alone a group with processes has no groups below.
        let hasBoth = FileManager.default.fileExists(atPath: "/sys/fs/cgroup/unified")
        let name = "guard-" + network.root.suffix(6)
        let group = "/sys/fs/cgroup/\(hasBoth ? "unified/" : "")\(name)"
        try FileManager.default.createDirectory(
          atPath: group, withIntermediateDirectories: false)
        defer { removeGroup(group) }
        let enter = hasBoth ? "echo $$ > \(group)/cgroup.procs && " : ""
        let agent = try RunningCommand(
          "/bin/sh",
          ["-c", enter + "exec \"$0\" \"$@\"", Binaries.iorun, "join", ticket, "--name", "far"]
            + ["--cpus", "4", "--isolation", "bwrap", "--guard-scope", name] + flags,
          scratch: network.root + "/commands",
          environment: ["IORUN_STATE_DIR": network.root + "/far"])
        try await agent.prints("this node is registered", within: .seconds(60))
        try await body(World(network: network, agent: agent, group: group))
        agent.signal(SIGINT)
        _ = try await agent.finish()
        for process in ProcessScan.all(network.root) where process.commandLine.contains("sleep") {
          kill(process.pid, SIGKILL)
        }
      }
    }

    /// Ends what is left in a control group, and removes it.
    private static func removeGroup(_ group: String) {
      for _ in 0..<500 {
        for line in ProcessScan.text(group + "/cgroup.procs").split(separator: "\n") {
          if let pid = Int32(line) { kill(pid, SIGKILL) }
        }
        let names = (try? FileManager.default.contentsOfDirectory(atPath: group)) ?? []
        for name in names where name.hasPrefix("iorun-") { rmdir(group + "/" + name) }
        if rmdir(group) == 0 { return }
        usleep(10_000)
      }
    }
  }
}
