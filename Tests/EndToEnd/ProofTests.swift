import Foundation
import Testing

extension RealProcesses {
  /// A head that asks its nodes for proofs. Rates are not looked at here: the machine is busy.
  @Suite(.serialized)
  struct `Proofs of work` {
    @Test(.timeLimit(.minutes(4)))
    func `are asked for, kept over a killed head, shown, and give way to jobs`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let address = "127.0.0.1:\(try FreePort.any())"
        let arguments = [
          "head", "--listen", address, "--verification", "enforce", "--proof-round", "0.3",
        ]
        var head = try network.start(arguments)
        try await head.prints("ticket create --role supplier")
        let join = try network.start(
          ["join", "-", "--name", "bench", "--address", "127.0.0.9", "--cpus", "1"],
          state: network.root + "/node", input: try await `A ticket`.ticket(.supplier, network))
        try await eventually("the node is there") {
          try await network.nodeStates() == ["bench": "alive"]
        } detail: {
          join.errors
        }
        // Any node will do, whatever it has proved, and whatever it is just proving.
        let job = try await network.iorun(
          "submit", "--verification", "any", "--", "echo", "hello", within: .seconds(60))
        #expect(job.status == 0 && job.output == "hello\n", "\(job)")

        func record() async throws -> [String: Any] {
          let history = try await network.iorun("pow", "history", "bench", "--json")
          // The head knows nothing of it before it has said what it can prove.
          return history.status == 0 ? try history.json() : [:]
        }
        var accepted: [[String: Any]] = []
        try await eventually("a proof was accepted", within: .seconds(60)) {
          accepted = (try await record()["verdicts"] as? [[String: Any]] ?? []).filter {
            $0["is_accepted"] as? Bool == true
          }
          return !accepted.isEmpty
        } detail: {
          join.errors + head.errors
        }
        let rate = try #require(accepted.first?["rate"] as? Double)
        #expect(rate > 0)

        head.signal(SIGKILL)
        _ = try await head.finish()
        head = try network.start(arguments)
        try await head.prints("ticket create --role supplier")
        let after = try await record()["verdicts"] as? [[String: Any]] ?? []
        let answers = Set(after.compactMap { $0["answer"] as? String })
        #expect(accepted.allSatisfy { answers.contains($0["answer"] as? String ?? "-") })

        let status = try await network.iorun("pow", "status")
        #expect(status.output.contains("enforce") && status.output.contains("bench"), "\(status)")
        let nodes = try await network.iorun("nodes")
        #expect(nodes.output.contains("PROOF"), "\(nodes)")
        let words = try await network.iorun("pow", "explain", "bench")
        #expect(words.output.contains("It claims 1 core:"), "\(words)")
        #expect(try await network.iorun("pow", "explain", "nobody").status != 0)
        join.signal(SIGTERM)
        #expect(try await join.finish(within: .seconds(15)).status == 0)
        head.signal(SIGTERM)
        #expect(try await head.finish(within: .seconds(15)).status == 0)
      }
    }
  }
}
