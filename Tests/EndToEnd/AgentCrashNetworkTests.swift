import Foundation
import Glibc
import Testing
import WanLink

extension RealProcesses {
  /// The interfaces and firewall tables of gangs that are led to the internet, on a host of its own.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `The way out of a gang whose agent is killed` {
    /// What of it a host has.
    private struct Traces {
      var interfaces: String
      var tables: String
      var forwards: String

      init(_ world: SwitchedHosts) async throws {
        func said(_ words: String) async throws -> String {
          let result = try await world.run(["sh", "-c", words], in: "a").finish()
          try #require(result.status == 0, "\(result)")
          return result.output
        }
        interfaces = try await said("ip -o link show | grep -o 'iorun-x[0-9]*' || true")
        tables = try await said("nft list tables")
        forwards = try await said("cat /proc/sys/net/ipv4/conf/*/forwarding | sort | uniq -c")
      }
    }

    private static let points = [
      ("lease.prepared", "sleep"), ("lease.connected", "sleep"), ("lease.running", "sleep"),
      ("lease.ended", "true"), ("lease.disconnected", "true"),
    ]

    @Test(.timeLimit(.minutes(5)))
    func `is gone once the next one has started, and nothing forwards any more`() async throws {
      try await SwitchedHosts.with { world in
        // A way out is all that an agent looks for; nobody answers there.
        let route = try await world.run(
          ["ip", "route", "add", "default", "via", SwitchedHosts.address("head")], in: "a"
        ).finish()
        try #require(route.status == 0, "\(route)")
        let before = try await Traces(world)
        try #require(before.tables.isEmpty && before.interfaces.isEmpty)
        let ticket = try await world.ticket("supplier")
        for (index, (point, program)) in Self.points.enumerated() {
          let agent = try Self.join(world, index == 0 ? ticket : nil, crashAt: point)
          try await agent.prints("this node is registered", within: .seconds(60))
          try await Self.isGone(world, before, "before \(point)")
          let command = program == "sleep" ? ["sleep", "600"] : [program]
          let job = try await Self.submit(world, command)
          let end: CommandResult
          do { end = try await agent.finish() } catch {
            throw NeverHappened(description: "\(point) was never reached: \(error)")
          }
          #expect(end.status == 128 + SIGKILL, "\(point): \(end)")
          // There is something to remove: rules do not go with a process.
          let left = try await Traces(world)
          #expect(left.tables.contains("iorun-"), "\(point): \(left) \(end)")
          // One that waits for another node would be the next agent's.
          _ = try await world.iorun("cancel", job)
        }
        let last = try Self.join(world, nil, crashAt: nil)
        try await last.prints("this node is registered", within: .seconds(60))
        try await Self.isGone(world, before, "after the last")
        last.signal(SIGINT)
        _ = try await last.finish()
      }
    }

    private static func join(
      _ world: SwitchedHosts, _ ticket: String?, crashAt point: String?
    ) throws -> RunningCommand {
      let crash = point.map { ["env", "IORUN_CRASH_AT=\($0)"] } ?? []
      let first = ticket == nil ? [] : ["-", "--name", "a", "--cpus", "1.5"]
      return try world.run(
        crash + [Binaries.iorun, "join"] + first
          + ["--isolation", "open", "--internet-mbps", "100"],
        in: "a", state: "a", input: ticket)
    }

    private static func submit(
      _ world: SwitchedHosts, _ command: [String]
    ) async throws -> String {
      let made = try await world.start(
        ["submit", "--detach", "--json", "--network", "internet", "--"] + command, in: "head",
        state: "head"
      ).finish()
      try #require(made.status == 0, "\(made)")
      return try #require(try made.json()["id"] as? String)
    }

    private static func isGone(
      _ world: SwitchedHosts, _ before: Traces, _ when: String
    ) async throws {
      var now = before
      try await eventually("nothing is left \(when)") {
        now = try await Traces(world)
        return now.tables.isEmpty && now.interfaces.isEmpty && now.forwards == before.forwards
      } detail: {
        "\(now), and was \(before)"
      }
    }
  }
}
