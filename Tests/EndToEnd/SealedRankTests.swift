import Foundation
import Testing

extension RealProcesses {
  /// Ranks of a node that was joined with `--isolation bwrap`.
  @Suite(
    .serialized,
    .enabled(
      if: Privileges.canMakeNamespaces
        && FileManager.default.isExecutableFile(atPath: "/usr/bin/bwrap"),
      "needs root, iproute2, nftables and bubblewrap"))
  struct `A rank in a sandbox` {
    @Test(.timeLimit(.minutes(4)))
    func `sees nothing of the machine, and people reach into it`() async throws {
      try await Self.with { network, _ in
        let secret = try network.write("a secret of the host", to: "secret")
        try network.write("from the client", to: "work/given.txt")
        let job = try await network.detach(
          "--working-dir", network.root + "/work", "--", "sh", "-c",
          """
          echo user $(id -u) in $(pwd); cat given.txt; echo; echo mine > made.txt
          cat \(secret) 2>/dev/null || echo hidden
          grep -E '^(NoNewPrivs|Seccomp|CapEff)' /proc/self/status; ls /sys/class/net 2>&1
          exec sleep 600
          """)
        _ = try await network.job(job, reaches: "running")
        let log = try await Self.log(of: job, has: "CapEff", network)
        #expect(log.contains("user 1000 in /job") && log.contains("from the client"), "\(log)")
        #expect(log.contains("hidden") && !log.contains("a secret"), "\(log)")
        #expect(log.contains("CapEff:\t0000000000000000"), "\(log)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `leaves none of its files, names and words on the disk, during and after`() async throws {
      try await Self.with { network, _ in
        let state = network.root + "/far"
        // Neither is in any command line: a grant's text is not what is looked for.
        let (word, name) = (
          "planted-\(UInt64.random(in: 0 ... .max))", "n\(UInt64.random(in: 0 ... .max))"
        )
        try network.write(String(repeating: word + "\n", count: 5000), to: "work/\(name).txt")
        let job = try await network.detach(
          "--working-dir", network.root + "/work", "--", "sh", "-c",
          "for file in *; do cat $file; done; cp *.txt /var/tmp/; ls; sync; exec sleep 600")
        _ = try await network.job(job, reaches: "running")
        let log = try await Self.log(of: job, has: name, network)
        #expect(log.contains(word))
        let isThere = "the words are found where they do lie: \(network.root)/work"
        #expect(
          try await Self.find(word, name, below: network.root + "/work", network).count == 2,
          "\(isThere)")
        #expect(try await Self.find(word, name, below: state, network) == [])
        _ = try await network.iorun("cancel", job)
        _ = try await network.job(job, reaches: "cancelled")
        try await eventually("the lease's scratch is gone") {
          SandboxTraces.leaseMounts(below: state).isEmpty
        } detail: {
          "\(SandboxTraces.leaseMounts(below: state))"
        }
        #expect(try await Self.find(word, name, below: state, network) == [])
      }
    }

    /// The files below a folder, but not in what is mounted there, that have the word in them, and those
    /// that have the name: ciphertext and images of disks, too.
    private static func find(
      _ word: String, _ name: String, below folder: String, _ network: TestNetwork
    ) async throws -> [String] {
      var found: [String] = []
      for test in ["-type f -exec grep -laF -e '\(word)' {} +", "-name '*\(name)*' -print"] {
        let end = try await RunningCommand(
          "/bin/sh", ["-c", "sync; find '\(folder)' -xdev \(test)"],
          scratch: network.root + "/commands", environment: [:], directory: "/"
        ).finish(within: .seconds(60))
        found += end.lines.filter { !$0.isEmpty }
      }
      return found
    }

    @Test(.timeLimit(.minutes(4)))
    func `takes commands, copies and connections, which are in the sandbox, too`() async throws {
      try await Self.with { network, _ in
        let secret = try network.write("a secret of the host", to: "secret")
        let job = try await network.detach("--", "sh", "-c", "echo mine > made.txt; exec sleep 600")
        _ = try await network.job(job, reaches: "running")
        let view = try await network.iorun(
          "exec", job, "--", "sh", "-c",
          """
          echo user $(id -u) in $(pwd) as rank $RANK; cat made.txt; cat \(secret) || echo hidden
          grep -E '^(NoNewPrivs|Seccomp|CapEff)' /proc/self/status; exit 7
          """)
        #expect(view.status == 7, "\(view)")
        let lines = ["user 1000 in /job as rank 0", "mine", "hidden"]
        #expect(view.lines.prefix(3) == lines[...], "\(view)")
        #expect(view.output.contains("NoNewPrivs:\t1\nSeccomp:\t2"), "\(view)")
        #expect(view.output.contains("CapEff:\t0000000000000000"), "\(view)")
        let given = try network.write("given", to: "given.txt")
        let copied = try await network.iorun("cp", given, "\(job):given.txt")
        #expect(copied.status == 0, "\(copied)")
        let read = try await network.iorun("exec", job, "--", "cat", "given.txt")
        #expect(read.output == "given", "\(read)")
        let back = try await network.iorun("cp", "\(job):made.txt", network.root + "/back.txt")
        #expect(back.status == 0 && network.read("back.txt") == "mine\n", "\(back)")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `that takes too much memory or kills all that it sees harms no other`() async throws {
      try await Self.with { network, join in
        let other = try await network.detach("--cpus", "1", "--", "sleep", "600")
        _ = try await network.job(other, reaches: "running")
        let killer = try await network.detach(
          "--cpus", "1", "--", "sh", "-c", "kill -9 -1; kill -9 \(join.pid); echo done")
        _ = try await network.job(killer, reaches: "failed", "succeeded")
        let hog = try await network.detach(
          "--cpus", "1", "--memory", "128MiB", "--", "python3", "-c",
          "x = bytearray(1 << 30); print('has it all', len(x))")
        let end = try await network.job(hog, reaches: "failed", "succeeded")
        #expect(end["state"] as? String == "failed", "\(end)")
        let ranks = try #require(end["ranks"] as? [[String: Any]])
        let usage = try #require(ranks.first?["usage"] as? [String: Any], "\(end)")
        #expect((usage["limits_hit"] as? [String])?.contains("memory") == true, "\(end)")
        #expect((usage["out_of_memory_kills"] as? Int ?? 0) > 0, "\(end)")
        #expect((usage["peak_memory_bytes"] as? Int ?? 0) > 100 << 20, "\(end)")
        let explained = try await network.iorun("explain", hog)
        #expect(explained.output.contains("met its limit of memory"), "\(explained)")
        let log = try await network.iorun("logs", hog)
        #expect(log.output.contains("met its limit of memory"), "\(log) \(join.errors)")
        #expect(try await network.job(other)["state"] as? String == "running")
        #expect(try await network.nodeStates()["far"] == "alive")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `leaves nothing when its agent is killed and started again`() async throws {
      try await Self.with { network, join in
        let job = try await network.detach("--", "sleep", "613")
        _ = try await network.job(job, reaches: "running")
        let state = network.root + "/far"
        let old = Set(SandboxTraces.leaseMounts(below: state))
        #expect(!old.isEmpty)
        join.signal(SIGKILL)
        let again = try network.start(["join", "--isolation", "bwrap"], state: state)
        _ = try await network.job(job, reaches: "failed")
        try await again.prints("this node is registered", within: .seconds(60))
        try await eventually("nothing is left") {
          SandboxTraces.leaseMounts(below: state).isEmpty
            && old.isDisjoint(with: SandboxTraces.mounts(below: state))
            && Self.groups(of: job).isEmpty
            && ProcessScan.all("sleep 613").isEmpty
        } detail: {
          "\(SandboxTraces.mounts(below: state)) \(Self.groups(of: job)) \(again.errors)"
        }
        let after = try await network.detach("--", "id", "-u")
        _ = try await network.job(after, reaches: "succeeded")
        #expect(try await network.iorun("logs", after).output.contains("1000"))
        again.signal(SIGINT)
        _ = try await again.finish()
      }
    }

    /// A network in which only `far` takes work, which is joined with sandboxes.
    static func with(
      isolation: String = "bwrap", _ body: (TestNetwork, RunningCommand) async throws -> Void
    ) async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let groups = SandboxTraces.nodeGroups()
        let drained = try await network.iorun("drain", "node-1")
        try #require(drained.status == 0, "\(drained)")
        let ticket = try await `A ticket`.ticket(.supplier, network, "--uses", "2")
        let join = try network.start(
          ["join", ticket, "--name", "far", "--cpus", "4", "--isolation", isolation],
          state: network.root + "/far")
        try await eventually("far is there", within: .seconds(60)) {
          try await network.nodeStates()["far"] == "alive"
        } detail: {
          join.errors
        }
        do {
          try await body(network, join)
          join.signal(SIGINT)
          _ = try await join.finish()
        } catch {
          print("== far\n\(join.errors.suffix(3000))")
          throw error
        }
        #expect(SandboxTraces.mounts(below: network.root).isEmpty)
        #expect(SandboxTraces.nodeGroups().subtracting(groups).isEmpty)
      }
    }

    private static func log(
      of job: String, has text: String, _ network: TestNetwork
    ) async throws -> String {
      var log = ""
      try await eventually("\(job) printed \(text)") {
        log = try await network.iorun("logs", job).output
        return log.contains(text)
      } detail: {
        log
      }
      return log
    }

    /// The control groups of a job's sandboxes.
    private static func groups(of job: String) -> [String] {
      let found = FileManager.default.enumerator(atPath: "/sys/fs/cgroup")
      var groups: [String] = []
      while let name = found?.nextObject() as? String {
        if (found?.level ?? 0) > 6 { found?.skipDescendants() }
        if name.contains(job) { groups.append(name) }
      }
      return groups
    }
  }
}
