import Foundation
import Glibc
import Testing
import WanLink

extension RealProcesses {
  /// A host that is gone without a word: its cable is pulled, and no connection of its is closed.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `A host that vanishes` {
    @Test(.timeLimit(.minutes(4)))
    func `is found out of reach, and a job with a fence starts elsewhere, never twice at once`()
      async throws
    {
      try await SwitchedHosts.with { world in
        try await world.join("a", cpus: "1")
        let marks = world.network.root + "/marks"
        // The machine's own clock, which all hosts of this test share: the first attempt says again and
        // again that it lives, the second when it began.
        let submit = try world.start(
          [
            "submit", "--ranks", "1", "--cpus", "1", "--network", "host", "--retries", "1",
            "--fence", "3s", "--json", "--", "bash", "-c",
            """
            read up rest </proc/uptime
            echo $up >> \(marks).$IORUN_ATTEMPT
            [ $IORUN_ATTEMPT = 1 ] || exit 0
            while :; do read up rest </proc/uptime; echo $up >> \(marks).1; sleep 0.02; done
            """,
          ], in: "head", state: "head")
        try await eventually("the rank runs") { !world.network.read("marks.1").isEmpty }
        try await world.join("b", cpus: "1")
        // Not its own interface: the host notices nothing but silence, as with a pulled cable.
        let cut = Self.uptime()
        _ = try await world.namespaces.run(in: "switch", "ip", "link", "set", "port1", "down")

        var states: [String] = []
        var foundAfter: Double?
        try await eventually("it is found, and the job starts elsewhere", within: .seconds(60)) {
          let nodes = try await world.iorun("nodes", "--json").json()["nodes"] as? [[String: Any]]
          let state = nodes?.first { $0["name"] as? String == "a" }?["state"] as? String ?? ""
          if states.last != state { states.append(state) }
          if state == "unreachable", foundAfter == nil { foundAfter = Self.uptime() - cut }
          return !world.network.read("marks.2").isEmpty
        } detail: {
          "\(states) \(submit.errors)"
        }
        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(try result.json()["attempt"] as? Int == 2, "\(result)")
        // Found before it was buried, and its work was elsewhere by then.
        #expect(states.contains("unreachable") && !states.contains("dead"), "\(states)")
        let last = try #require(Self.moments(world, of: 1).last)
        let began = try #require(Self.moments(world, of: 2).first)
        #expect(last < began, "the first still ran at \(last), the second began at \(began)")
        print(
          """
          a vanished host was unreachable after \(foundAfter.map { "\($0) s" } ?? "?"), its rank \
          stopped itself after \(last - cut) s and ran elsewhere after \(began - cut) s
          """)
      }
    }

    private static func moments(_ world: SwitchedHosts, of attempt: Int) -> [Double] {
      world.network.read("marks.\(attempt)").split(separator: "\n").compactMap { Double($0) }
    }

    /// What `/proc/uptime` says.
    private static func uptime() -> Double {
      var time = timespec()
      clock_gettime(CLOCK_BOOTTIME, &time)
      return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
  }
}
