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
    private static let new = "10.214.7.77"

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
        try await Self.switchAddress(in: world)

        // It comes back from the new one, and was never taken for dead.
        var states: Set<String> = []
        let isBack: () async throws -> Bool = {
          let connections = try await world.namespaces.run(
            in: "a", "ss", "-tnH", "state", "established")
          let nodes = try await world.iorun("nodes", "--json").json()["nodes"]
          let state = (nodes as? [[String: Any]])?.first { $0["name"] as? String == "a" }?["state"]
          states.insert(state as? String ?? "")
          return connections.contains(Self.new) && state as? String == "alive"
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

    @Test(.timeLimit(.minutes(4)))
    func `keeps a copy and a command in a rank that are under way`() async throws {
      try await SwitchedHosts.with { world in
        try await world.join("a")
        let root = world.network.root
        let made = try await world.run(
          ["sh", "-c", "head -c \(Self.copyBytes) /dev/urandom > \(root)/big"], in: "head"
        ).finish()
        try #require(made.status == 0, "\(made)")
        let submit = try await world.iorun(
          "submit", "--detach", "--json", "--cpus", "1", "--network", "host", "--", "sh", "-c",
          "mkdir in; until [ -e \(root)/stop ]; do sleep 0.1; done")
        let id = try #require(try submit.json()["id"] as? String)
        let work = "\(root)/a/node/leases/\(id)-1-0/work"
        try await eventually("the rank runs") {
          FileManager.default.fileExists(atPath: work + "/in")
        }
        // What a command reads and what it prints, both numbered.
        let command = try world.start(
          [
            "exec", id, "--", "sh", "-c",
            """
            i=0; until [ -e \(root)/enough ]; do i=$((i+1)); echo line $i; sleep 0.01; done
            echo last $i; exit 3
            """,
          ], in: "head", state: "head")
        try await command.prints("line 20\n")
        let copy = try world.start(["cp", "big", "\(id):in/big"], in: "head", state: "head")
        try await eventually("a part of the file is there") {
          (1_000_000..<Self.copyBytes).contains(Self.arrived(in: work + "/in"))
        } detail: {
          copy.errors
        }
        try await Self.switchAddress(in: world)
        let cutAt = Self.arrived(in: work + "/in")
        #expect(cutAt < Self.copyBytes, "the copy was under way")

        let copied = try await copy.finish(within: .seconds(90))
        #expect(copied.status == 0, "\(copied)")
        let same = try await world.run(["cmp", root + "/big", work + "/in/big"], in: "head")
          .finish(within: .seconds(60))
        #expect(same.status == 0, "\(same)")
        let connections = try await world.namespaces.run(
          in: "a", "ss", "-tnH", "state", "established")
        #expect(connections.contains(Self.new), "it goes on from the new address: \(connections)")
        let far = command.output.split(separator: "\n").count
        try await eventually("the command's output goes on") {
          command.output.split(separator: "\n").count > far + 50
        }
        try world.network.write("", to: "enough")
        let ended = try await command.finish(within: .seconds(60))
        #expect(ended.status == 3, "\(ended.errors)")
        let lines = ended.lines
        #expect(lines.count > 70)
        #expect(
          lines == (1..<lines.count).map { "line \($0)" } + ["last \(lines.count - 1)"],
          "no line is missing, and none came twice")
        try world.network.write("", to: "stop")
      }
    }

    /// Long enough under way to be met in the middle.
    private static let copyBytes = 400_000_000

    /// How many bytes of a file that is being copied are in a folder.
    private static func arrived(in folder: String) -> Int {
      let files = FileManager.default
      let names = (try? files.contentsOfDirectory(atPath: folder)) ?? []
      return names.reduce(0) { sum, name in
        let size = try? files.attributesOfItem(atPath: folder + "/" + name)[.size] as? NSNumber
        return sum + (size?.intValue ?? 0)
      }
    }

    /// Gives host `a` another address in place of its own.
    private static func switchAddress(in world: SwitchedHosts) async throws {
      let old = SwitchedHosts.address("a")
      // In this order: with a subnet's first address go all that were added to it.
      _ = try await world.namespaces.run(
        in: "a", "ip", "addr", "del", "\(old)/24", "dev", interface)
      _ = try await world.namespaces.run(
        in: "a", "ip", "addr", "add", "\(new)/24", "dev", interface)
      #expect(
        try await !world.namespaces.run(in: "a", "ip", "-o", "-4", "addr").contains(old),
        "the old address is gone")
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
