import Foundation
import Testing

extension RealProcesses {
  /// What a machine's owner says and sees: `iorun worker`, `iorun doctor`, `iorun join --service`.
  @Suite(.serialized)
  struct `A machine's owner` {
    @Test(.timeLimit(.minutes(4)))
    func `pauses, resumes, limits and drains the machine by command`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await `A ticket`.ticket(.supplier, network)
        let far = network.root + "/far"
        let agent = try network.start(
          ["join", ticket, "--name", "far", "--isolation", "open", "--memory", "300MiB"]
            + ["--profile", "none"], state: far)
        try await agent.prints("this node is registered")
        let about = try await Self.node(network)
        #expect(
          ((about["capacity"] as? [String: Any])?["memory_bytes"] as? NSNumber)?.int64Value
            == 300 << 20, "\(about)")
        for (words, hold) in [
          (["pause"], "its owner has paused it"), (["resume"], nil),
          (["limit", "--hours", Self.otherHours], "it works from \(Self.otherHours) only"),
          (["limit", "--hours", "none", "--max-celsius", "150"], nil),
          (["limit", "--idle-minutes", "1440"], "its owner uses it"),
          (["limit", "--idle-minutes", "none", "--max-celsius", "none"], nil),
        ] as [([String], String?)] {
          let said = try await network.start(["worker"] + words + ["--json"], state: far).finish()
          #expect(said.status == 0, "\(said)")
          var node: [String: Any] = [:]
          try await eventually("\(words) is known at the head") {
            node = try await Self.node(network)
            let told = node["owner_hold"] as? String
            return hold.map { told?.hasPrefix($0) == true } ?? (told == nil)
          } detail: {
            "\(node)"
          }
        }
        let wrong = try await network.iorun("worker", "limit", "--max-celsius", "1000", state: far)
        #expect(wrong.status != 0 && wrong.errors.contains("20 to 150"), "\(wrong)")
        let drained = try await network.iorun("worker", "drain", "--wait", state: far)
        #expect(drained.status == 0, "\(drained)")
        let end = try await agent.finish()
        #expect(end.status == 0, "\(end)")
        try await eventually("it has left") {
          try await network.nodeStates()["far"] == "left"
        }
      }
    }

    /// An hour of the day that is not near this one.
    private static var otherHours: String {
      let hour = (Calendar.current.component(.hour, from: Date()) + 12) % 24
      return String(format: "%02d:00-%02d:30", hour, hour)
    }

    private static func node(_ network: TestNetwork) async throws -> [String: Any] {
      let nodes = try await network.iorun("nodes", "--json").json()["nodes"] as? [[String: Any]]
      return try #require(nodes?.first { $0["name"] as? String == "far" })
    }

    static func checks(_ result: CommandResult) throws -> [String: [String: Any]] {
      let checks = try result.json()["checks"] as? [[String: Any]] ?? []
      return Dictionary(checks.map { ($0["name"] as? String ?? "", $0) }) { $1 }
    }

    private static let canSeal =
      Privileges.canMakeNamespaces
      && ["/usr/bin/bwrap", "/usr/bin/gocryptfs", "/usr/bin/apt-get"].allSatisfy {
        FileManager.default.isExecutableFile(atPath: $0)
      }

    @Test(
      .timeLimit(.minutes(4)),
      .enabled(if: canSeal, "needs root, bubblewrap, gocryptfs, apt-get: SKIPPED"))
    func `is told by canaries what works, and has the rest mended`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let node = network.state + "/node"
        try network.write("secret", to: "s/node/node.key")
        chmod(node + "/node.key", 0o644)
        // In mounts of its own: a machine without gocryptfs, on which apt-get brings it back.
        let apt = try network.write(
          "#!/bin/sh\necho \"$@\" >> \(network.root)/apt\numount /usr/bin/gocryptfs\n", to: "apt.sh"
        )
        chmod(apt, 0o755)
        func doctor(_ words: String...) async throws -> CommandResult {
          try await RunningCommand(
            "/usr/bin/unshare",
            [
              "-m", "--propagation", "private", "sh", "-c",
              """
              mount --bind \(apt) /usr/bin/apt-get && mount --bind /dev/null /usr/bin/gocryptfs &&
              exec "$0" doctor "$@"
              """, Binaries.iorun, "--json",
            ] + words, scratch: network.root + "/commands",
            environment: ["IORUN_STATE_DIR": network.state]
          ).finish(within: .seconds(60))
        }
        let sick = try Self.checks(try await doctor())
        #expect(sick["sandbox"]?["outcome"] as? String == "passed", "\(sick)")
        #expect(sick["encrypted scratch"]?["found"] as? String == "tmpfs", "\(sick)")
        #expect(sick["encrypted scratch"]?["is_fixable"] as? Bool == true)
        #expect(sick["node.key"]?["outcome"] as? String == "failed")
        let result = try await doctor("--fix")
        let mended = try Self.checks(result)
        #expect(mended["encrypted scratch"]?["outcome"] as? String == "passed", "\(result)")
        #expect(mended["node.key"]?["outcome"] as? String == "passed")
        #expect(network.read("apt").contains("install -y --no-install-recommends gocryptfs"))
        #expect(mended["internet"] != nil && mended["dm-crypt"] != nil && mended["guard"] != nil)
        // Nothing of the canaries is left.
        let names = try FileManager.default.contentsOfDirectory(atPath: node)
        #expect(names.filter { $0.contains("doctor") } == [])
      }
    }

    @Test(
      .timeLimit(.minutes(4)),
      .enabled(
        if: Privileges.isRoot
          && FileManager.default.isExecutableFile(atPath: "/usr/bin/systemctl")
          && FileManager.default.fileExists(atPath: "/etc/systemd/system"),
        "needs root and systemd's files: SKIPPED"))
    func `has a service installed, which keeps what was said at join`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let ticket = try await `A ticket`.ticket(.supplier, network)
        let far = network.root + "/far"
        let profile = try network.write(#"{"memory_bytes": 1125899906842624}"#, to: "p.json")
        let systemctl = try network.write(
          "#!/bin/sh\necho \"$@\" >> \(network.root)/systemctl.log\n", to: "systemctl.sh")
        chmod(systemctl, 0o755)
        let units = network.root + "/units"
        try FileManager.default.createDirectory(atPath: units, withIntermediateDirectories: true)
        let install = try await RunningCommand(
          "/usr/bin/unshare",
          [
            "-m", "--propagation", "private", "sh", "-c",
            """
            mount --bind \(systemctl) /usr/bin/systemctl && mount --bind \(units) \
            /etc/systemd/system && exec "$0" join "$@"
            """, Binaries.iorun, ticket, "--name", "far", "--isolation", "open", "--service",
            "--memory", "400MiB", "--profile", profile,
          ], scratch: network.root + "/commands", environment: ["IORUN_STATE_DIR": far]
        ).finish()
        #expect(install.status == 0, "\(install)")
        #expect(
          network.read("systemctl.log") == "daemon-reload\nenable --now iorun-node.service\n")
        let unit = network.read("units/iorun-node.service")
        let start = try #require(
          unit.split(separator: "\n").first { $0.hasPrefix("ExecStart=") }?.dropFirst(10))
        #expect(start.contains(far), "\(unit)")
        // What systemd would start; nothing in this path needs its own quoting.
        let agent = try RunningCommand(
          "/bin/sh", ["-c", "exec \(start)"], scratch: network.root + "/commands")
        try await agent.prints("at least 1024 TiB", within: .seconds(60))
        let about = try await Self.node(network)
        #expect(
          ((about["capacity"] as? [String: Any])?["memory_bytes"] as? NSNumber)?.int64Value
            == 400 << 20, "\(about)")
        agent.signal(SIGINT)
        _ = try await agent.finish()
      }
    }
  }
}
