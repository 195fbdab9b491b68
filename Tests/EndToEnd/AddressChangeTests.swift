import Foundation
import Testing
import WanLink

extension RealProcesses {
  /// A host whose only address is replaced under everything that runs, as a router's new lease does.
  @Suite(
    .enabled(
      if: NetworkNamespaces.areAvailable,
      "\(NetworkNamespaces.unavailableReason ?? ""): SKIPPED"),
    .serialized)
  struct `A host that gets another address` {
    private static let interface = "eth-switch"

    @Test(.timeLimit(.minutes(4)))
    func `keeps its node, its ranks and every line of their log`() async throws {
      try await SwitchedHosts.with { world in
        for host in ["a", "b"] { try await world.join(host) }
        let marks = world.network.root + "/marks"
        // Ranks that see their hosts' own networks: nothing but the sessions is under test.
        let submit = try world.start(
          [
            "submit", "--ranks", "2", "--cpus", "1", "--network", "host", "--json", "--", "sh",
            "-c",
            """
            echo began $RANK >> \(marks)
            i=0; until [ -e \(world.network.root)/stop ]; do
              i=$((i+1)); echo line $i; sleep 0.02
            done; echo last $i
            """,
          ], in: "head", state: "head")
        try await eventually("both ranks run") {
          world.network.read(marks).split(separator: "\n").count == 2
        }
        let old = SwitchedHosts.address("a")
        let new = "10.214.7.77"
        // In this order: with a subnet's first address go all that were added to it.
        _ = try await world.namespaces.run(
          in: "a", "ip", "addr", "del", "\(old)/24", "dev", Self.interface)
        _ = try await world.namespaces.run(
          in: "a", "ip", "addr", "add", "\(new)/24", "dev", Self.interface)
        #expect(
          try await !world.namespaces.run(in: "a", "ip", "-o", "-4", "addr").contains(old),
          "the old address is gone")

        // It comes back from the new one, and was never taken for dead.
        var states: Set<String> = []
        let isBack: () async throws -> Bool = {
          let connections = try await world.namespaces.run(
            in: "a", "ss", "-tnH", "state", "established")
          let nodes = try await world.iorun("nodes", "--json").json()["nodes"]
          let state = (nodes as? [[String: Any]])?.first { $0["name"] as? String == "a" }?["state"]
          states.insert(state as? String ?? "")
          return connections.contains(new) && state as? String == "alive"
        }
        try await eventually("its session goes on from the new address", within: .seconds(60)) {
          try await isBack()
        } detail: {
          "\(states)"
        }
        #expect(!states.contains("dead") && !states.contains("left"), "\(states)")
        // What it printed meanwhile arrives, and what it prints now.
        let id = try #require(
          (try await world.iorun("status", "--json").json()["jobs"] as? [[String: Any]])?
            .first?["id"] as? String)
        let far = Self.lines(try await world.iorun("logs", id)).count
        try await eventually("its log goes on") {
          Self.lines(try await world.iorun("logs", id)).count > far + 100
        }
        try world.network.write("", to: "stop")
        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        #expect(try result.json()["attempt"] as? Int == 1, "\(result)")
        #expect(
          world.network.read(marks).split(separator: "\n").sorted() == ["began 0", "began 1"],
          "nothing ran twice")
        let logs = try await world.iorun("logs", id)
        for rank in 0..<2 {
          let numbers = Self.lines(logs, of: rank)
          #expect(numbers == Array(1...max(1, numbers.count)), "no line of rank \(rank) is missing")
          #expect(logs.output.contains("[\(rank)] last \(numbers.count)"))
        }
      }
    }

    /// The numbers that were printed, in the log's order, by one rank or both.
    private static func lines(_ logs: CommandResult, of rank: Int? = nil) -> [Int] {
      logs.lines.compactMap { line in
        let words = line.split(separator: " ")
        guard words.count >= 3, words[words.count - 2] == "line",
          rank.map({ words[0] == "[\($0)]" }) ?? true
        else { return nil }
        return Int(words[words.count - 1])
      }
    }
  }
}
