import Foundation
import Glibc
import Testing
import WanLink

extension RealProcesses {
  /// Three hosts whose gang has a network of its own, a fourth host, and another tenant.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `The network of a gang` {
    /// Rank 0 serves a file, the others fetch it by name; all stay until a file `stop` is there.
    private static func serving(_ marker: String) -> String {
      """
      echo master $MASTER_ADDR on $GLOO_SOCKET_IFNAME
      if [ $RANK = 0 ]; then
        mkdir www; echo \(marker) > www/text
        python3 -m http.server 8000 --bind $MASTER_ADDR --directory www >/dev/null 2>&1 &
      else
        for i in $(seq 200); do
          python3 -c "import urllib.request as u, os
      print('fetched', u.urlopen('http://' + os.environ['MASTER_ADDR'] + ':8000/text').read())" \
            2>/dev/null && break
          sleep 0.1
        done
      fi
      for i in $(seq 1200); do [ -e stop ] && exit 0; sleep 0.1; done; exit 9
      """
    }

    @Test(.timeLimit(.minutes(4)))
    func `carries HTTP among its members, in cipher, and nobody else gets in`() async throws {
      try await SwitchedHosts.with { world in
        for host in ["a", "b", "c"] { try await world.join(host) }
        let before = try await Self.leftovers(world)
        let (secret, open) = ("HIDDEN-\(UUID().uuidString)", "PLAIN-\(UUID().uuidString)")
        let tap = try SwitchTap(world.namespaces, in: "switch", markers: [secret, open])
        defer { tap.stop() }
        let job = try await Self.serve(world, secret, network: nil)
        let master = try #require(try await Self.master(world, job))
        #expect(master.address.hasPrefix("100.64."), "\(master)")
        #expect(master.interface == "iorun0")
        // The names of /etc/hosts are the gang's own; the fourth host even has a route.
        for host in ["a", "b", "c"] {
          _ = try await world.run(
            [
              "ip", "route", "replace", "\(master.address)/32", "via", SwitchedHosts.address(host),
            ], in: "stranger"
          ).finish()
          #expect(try await !world.reaches(master.address, 8000, from: "stranger"))
        }
        for host in ["a", "b", "c"] {
          #expect(try await !world.reaches(master.address, 8000, from: host))
          #expect(try await !world.reaches("127.0.0.1", 8000, from: host))
        }
        // Another tenant has ranks on the same hosts, with and without a network of its own.
        let buyer = try await world.ticket("buyer")
        for network in ["host", "gang"] {
          let other = try await world.start(
            [
              "submit", "--head", "-", "--ranks", "3", "--cpus", "0.5", "--network", network, "--",
              "sh", "-c",
              "timeout 2 bash -c 'exec 3<>/dev/tcp/\(master.address)/8000' && echo in || echo out",
            ], in: "head", state: "other", input: buyer
          ).finish()
          #expect(other.status == 0, "\(other)")
          #expect(other.lines.filter { $0.hasSuffix("out") }.count == 3, "\(other)")
          #expect(!other.lines.contains { $0.hasSuffix("in") }, "\(other)")
        }
        try Self.stop(world, job)
        try await Self.succeeds(world, job)
        #expect(tap.markers.isEmpty)
        try await Self.carries(tap)
        // The tap would have seen it: the same job on the hosts' own network is read in clear.
        let plain = try await Self.serve(world, open, network: "host")
        let host = try #require(try await Self.master(world, plain))
        #expect(host.address.hasPrefix("10.214.7."))
        try Self.stop(world, plain)
        try await Self.succeeds(world, plain)
        #expect(tap.markers == [open])
        try await eventually("nothing is left of the networks") {
          try await Self.leftovers(world).isSubset(of: before)
        } detail: {
          await Self.report(world)
        }
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `leaves nothing behind when its agent is killed`() async throws {
      try await SwitchedHosts.with { world in
        var agents: [String: RunningCommand] = [:]
        for host in ["a", "b"] { agents[host] = try await world.join(host) }
        let before = try await Self.leftovers(world)
        let job = try await Self.serve(world, "x", network: nil, ranks: 2)
        let during = Self.namespaces(world)
        #expect(during.count == 2, "one for each node: \(during)")
        let agent = try #require(agents["b"])
        agent.signal(SIGKILL)
        _ = try await agent.finish()
        try await eventually("the killed agent's namespace is gone") {
          // The other node's ranks are stopped by the head, in time.
          Self.namespaces(world).count < 2
        }
        let again = try world.start(["join"], in: "b", state: "b")
        try await world.isAlive("b", again)
        try await eventually("the attempt is over on both nodes, and nothing is left") {
          try await Self.leftovers(world).isSubset(of: before)
        } detail: {
          await Self.report(world)
        }
        let state = try await world.iorun("status", "--json").output
        #expect(state.contains(job))
        // It works as before.
        let next = try await world.iorun(
          "submit", "--ranks", "2", "--", "sh", "-c", "getent hosts rank-0 rank-1")
        #expect(next.status == 0, "\(next)")
        #expect(next.lines.filter { $0.contains("100.64.") }.count == 4, "\(next)")
      }
    }

    @Test(.timeLimit(.minutes(2)))
    func `is what exec sees, and a forwarded port reaches a server that listens only in it`()
      async throws
    {
      try await SwitchedHosts.with { world in
        for host in ["a", "b"] { try await world.join(host) }
        let marker = "FORWARDED-\(UUID().uuidString)"
        let job = try await Self.serve(world, marker, network: nil, ranks: 2)
        let master = try #require(try await Self.master(world, job))
        let seen = try await world.iorun(
          "exec", "\(job):1", "--", "bash", "-c",
          "ls /sys/class/net; getent ahostsv4 rank-0 | head -1; "
            + "exec 3<>/dev/tcp/$MASTER_ADDR/8000 && echo reached")
        #expect(seen.status == 0, "\(seen)")
        #expect(seen.lines.contains("iorun0") && seen.lines.contains("reached"), "\(seen)")
        #expect(!seen.output.contains("eth-switch"), "\(seen)")
        #expect(seen.output.contains(master.address), "\(seen)")
        let forward = try world.start(
          ["port-forward", job, "0:8000", "--json"], in: "head", state: "head")
        try await forward.prints("\"remote_port\":8000}")
        let view =
          try JSONSerialization.jsonObject(
            with: Data(forward.output.split(separator: "\n")[0].utf8)) as? [String: Any]
        let port = try #require(view?["local_port"] as? Int)
        let fetched = try await world.run(
          [
            "python3", "-c",
            "import urllib.request as u; "
              + "print(u.urlopen('http://127.0.0.1:\(port)/text', timeout=20).read())",
          ], in: "head"
        ).finish()
        #expect(fetched.output.contains(marker), "\(fetched) \(forward.errors)")
        forward.signal(SIGINT)
        _ = try await forward.finish()
        try Self.stop(world, job)
        try await Self.succeeds(world, job)
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `goes over IPv6 alone, as sessions do`() async throws {
      try await SwitchedHosts.with(isV6: true) { world in
        for host in ["a", "b"] { try await world.join(host) }
        for host in ["head", "a", "b"] {
          let v4 = try await world.namespaces.run(in: host, "ip", "-4", "-o", "address")
          #expect(!v4.contains("eth-switch"), "\(host) has IPv4: \(v4)")
        }
        let secret = "HIDDEN-\(UUID().uuidString)"
        let tap = try SwitchTap(world.namespaces, in: "switch", markers: [secret])
        defer { tap.stop() }
        let job = try await Self.serve(world, secret, network: nil, ranks: 2)
        let master = try #require(try await Self.master(world, job))
        #expect(master.interface == "iorun0")
        #expect(tap.markers.isEmpty)
        try await Self.carries(tap)
        // The gang's tunnel and the link between the agents are direct.
        try await eventually("both nodes have said that their ways are direct") {
          let paths = try await world.iorun("status", "--json").json()["paths"] as? [[String: Any]]
          let ways = (paths ?? []).flatMap { $0["paths"] as? [[String: Any]] ?? [] }
          func direct(_ isOf: (String) -> Bool) -> Int {
            ways.count {
              isOf($0["purpose"] as? String ?? "") && $0["way"] as? String == "direct"
            }
          }
          return direct { $0 == "session" } == 2 && direct { $0.hasPrefix("job-") } == 2
        } detail: {
          (try? await world.iorun("status", "--json").output) ?? ""
        }
        // What is fetched now goes from member to member.
        let before = tap.direct
        let fetched = try await world.iorun(
          "exec", "\(job):1", "--", "bash", "-c",
          "exec 3<>/dev/tcp/$MASTER_ADDR/8000 "
            + "&& printf 'GET /text HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3")
        #expect(fetched.output.contains(secret), "\(fetched)")
        try await eventually("it passed the switch in cipher") {
          tap.direct > before
        } detail: {
          "\(tap.direct) frames, \(before) before"
        }
        #expect(tap.markers.isEmpty)
        try Self.stop(world, job)
        try await Self.succeeds(world, job)
      }
    }

    /// The gang's packets passed the switch, by the relay on the head's host at first and directly
    /// when a way was found: how early that is, is the machine's affair.
    private static func carries(_ tap: SwitchTap) async throws {
      try await eventually("packets of the tunnel passed the switch") {
        tap.direct + tap.relayed > 0
      } detail: {
        "\(tap.direct) direct, \(tap.relayed) relayed"
      }
    }

    /// Submits a serving job and waits until the others have fetched; its id.
    private static func serve(
      _ world: SwitchedHosts, _ marker: String, network: String?, ranks: Int = 3
    ) async throws -> String {
      let choice = network.map { ["--network", $0] } ?? []
      let made = try await world.start(
        ["submit", "--detach", "--json", "--ranks", "\(ranks)"] + choice
          + ["--", "bash", "-c", serving(marker)],
        in: "head", state: "head"
      ).finish()
      let id = try #require(try made.json()["id"] as? String)
      try await eventually("the others fetched") {
        let logs = try await world.iorun("logs", id).lines
        return logs.filter { $0.contains("fetched") && $0.contains(marker) }.count == ranks - 1
      } detail: {
        marker
      }
      return id
    }

    private static func master(_ world: SwitchedHosts, _ job: String) async throws
      -> (address: String, interface: String)?
    {
      let lines = try await world.iorun("logs", job).lines
      let words = lines.first { $0.contains("master") }?.split(separator: " ") ?? []
      guard words.count >= 4 else { return nil }
      return (String(words[words.count - 3]), String(words[words.count - 1]))
    }

    private static func stop(_ world: SwitchedHosts, _ job: String) throws {
      for host in ["a", "b", "c"] {
        for rank in 0..<3 {
          let folder = "\(world.network.root)/\(host)/node/leases/\(job)-1-\(rank)/work"
          if FileManager.default.fileExists(atPath: folder) {
            try world.network.write(
              "", to: folder.dropFirst(world.network.root.count + 1) + "/stop")
          }
        }
      }
    }

    private static func succeeds(_ world: SwitchedHosts, _ job: String) async throws {
      try await eventually("the job ends") {
        let jobs = try await world.iorun("status", "--json").json()["jobs"] as? [[String: Any]]
        return jobs?.contains {
          $0["id"] as? String == job && $0["state"] as? String == "succeeded"
        } ?? false
      }
    }

    /// The network namespaces of this test's processes beside those of its hosts.
    private static func namespaces(_ world: SwitchedHosts) -> Set<String> {
      var found: Set<String> = []
      for process in ProcessScan.all(world.network.root) {
        let link = "/proc/\(process.pid)/ns/net"
        if let name = try? FileManager.default.destinationOfSymbolicLink(atPath: link) {
          found.insert(name)
        }
      }
      for host in SwitchedHosts.hosts {
        var status = Glibc.stat()
        if stat(world.namespaces.path(host), &status) == 0 {
          found.remove("net:[\(status.st_ino)]")
        }
      }
      return found
    }

    /// What is there that a gang's network puts there; a kernel may have devices of its own everywhere.
    private static func leftovers(_ world: SwitchedHosts) async throws -> Set<String> {
      var left = namespaces(world)
      for host in ["a", "b", "c"] {
        let folder = "\(world.network.root)/\(host)/node/networks"
        left.formUnion((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [])
        let links = try await world.namespaces.run(in: host, "ip", "-o", "link")
        left.formUnion(
          links.split(separator: "\n").map { "\(host): \($0)" }.filter {
            !$0.contains(": lo:") && !$0.contains("eth-switch")
          })
        left.formUnion(
          try await world.namespaces.run(in: host, "nft", "list", "tables")
            .split(separator: "\n").map { "\(host): \($0)" })
      }
      return left
    }

    /// What is left, and what runs there.
    private static func report(_ world: SwitchedHosts) async -> String {
      let left = (try? await leftovers(world).sorted()) ?? ["not readable"]
      let status = (try? await world.iorun("status", "--json").output) ?? ""
      let running = ProcessScan.all(world.network.root).map { process in
        let space = try? FileManager.default.destinationOfSymbolicLink(
          atPath: "/proc/\(process.pid)/ns/net")
        return "\(space ?? "?") \(process)"
      }
      return (left + running + [status]).joined(separator: "\n")
    }
  }
}
