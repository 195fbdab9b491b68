import Foundation
import Testing

extension RealProcesses {
  /// Terms under which a gang goes on with fewer ranks, or lets more urgent ones go first. Spares, quotas
  /// and `start_by` are tested with the terms of places.
  @Suite(.serialized)
  struct `Terms under loss and urgency` {
    @Test(.timeLimit(.minutes(4)))
    func `let a gang that lost a node and finds no other go on with fewer ranks`() async throws {
      try await TestNetwork.with(nodes: 3, cpus: 2) { network in
        let spec = try network.write(
          """
          name: shrinks
          command: >-
            echo $WORLD_SIZE > \(network.root)/world-$IORUN_ATTEMPT-$RANK;
            \(Self.untilGo(network))
          network: host
          gang:
            ranks: 3
            placement: STRICT_SPREAD
            on_loss: shrink
            min_ranks: 2
            resources: {cpus: 2}
          """, to: "shrinks/job.yaml")
        let id = try await network.detach(spec)
        let before = Self.nodes(try await network.job(id, reaches: "running"))
        try #require(Set(before).count == 3, "\(before)")
        for rank in 0..<3 { try await Self.hears(network, "world-1-\(rank)", "3") }

        kill(try network.pid(of: before[1]), SIGKILL)
        var job: [String: Any] = [:]
        // It waits until the lost node has surely stopped its rank.
        try await eventually("it runs again", within: .seconds(60)) {
          job = try await network.job(id)
          return job["state"] as? String == "running" && job["attempt"] as? Int == 2
        } detail: {
          "\(job)"
        }
        #expect(Self.nodes(job) == [before[0], before[2]], "who is left keeps its node")
        for rank in 0..<2 { try await Self.hears(network, "world-2-\(rank)", "2") }
        try network.write("", to: "go")
        // It had no retries: to be mended uses none up.
        _ = try await network.job(id, reaches: "succeeded")
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `keep a preemptible job its first hour, and put an urgent one first`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        let first = try await network.detach(
          "--preemptible", "--cpus", "2", "--", "sh", "-c", Self.untilGo(network))
        _ = try await network.job(first, reaches: "running")
        let order = "\(network.root)/order"
        let usual = try await network.detach(
          "--cpus", "2", "--", "sh", "-c", "echo usual >> \(order)")
        let urgent = try await network.detach(
          "--priority", "10", "--cpus", "2", "--", "sh", "-c", "echo urgent >> \(order)")
        for id in [usual, urgent] {
          var job: [String: Any] = [:]
          try await eventually("\(id) waits and says for what") {
            job = try await network.job(id)
            return job["state"] as? String == "queued"
              && (job["reason"] as? String ?? "").contains("busy")
          } detail: {
            "\(job)"
          }
        }
        let kept = try await network.job(first)
        #expect(kept["state"] as? String == "running" && kept["attempt"] as? Int == 1, "\(kept)")
        try network.write("", to: "go")
        for id in [first, usual, urgent] { _ = try await network.job(id, reaches: "succeeded") }
        #expect(try await network.job(first)["attempt"] as? Int == 1, "it was never stopped")
        #expect(network.read("order") == "urgent\nusual\n")
      }
    }

    private static func untilGo(_ network: TestNetwork) -> String {
      "until [ -e \(network.root)/go ]; do sleep 0.05; done"
    }

    /// The nodes of a job's ranks, by rank.
    private static func nodes(_ job: [String: Any]) -> [String] {
      (job["ranks"] as? [[String: Any]] ?? []).compactMap { $0["node_name"] as? String }
    }

    /// Waits until a rank has written a word into a file.
    private static func hears(_ network: TestNetwork, _ file: String, _ word: String) async throws {
      try await eventually("\(file) says \(word)") {
        network.read(file) == word + "\n"
      } detail: {
        network.read(file)
      }
    }
  }
}
