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
          "--line-seconds", "0.1",
        ]
        var head = try network.start(arguments)
        try await head.prints("ticket create --role supplier")
        let join = try network.start(
          ["join", "-", "--name", "bench", "--address", "127.0.0.9", "--cpus", "1"],
          state: network.root + "/node", environment: ["IORUN_LOG": "debug"],
          input: try await `A ticket`.ticket(.supplier, network))
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
        // The first may have been signed: a session is begun while it is worked on.
        try await eventually("no answer was sealed by a session", within: .seconds(60)) {
          join.errors.contains("judged an answer that is sealed by a session")
        } detail: {
          join.errors + head.errors
        }

        // Streams go over the real mesh, between rounds.
        try await eventually("the line was not measured", within: .seconds(60)) {
          let device = try await record()["device"] as? [String: Any]
          let line = (device?["connection"] as? [String: Any])?["line"] as? [String: Any]
          return [line?["download_megabits_per_second"], line?["upload_megabits_per_second"]]
            .allSatisfy { $0 as? Double ?? 0 > 0 }
        } detail: {
          join.errors + head.errors
        }

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
        // Memory is asked for as well, once cores and searches are what was claimed.
        #expect(words.output.contains("steps/s of mem"), "\(words)")
        #expect(try await network.iorun("pow", "explain", "nobody").status != 0)
        join.signal(SIGTERM)
        #expect(try await join.finish(within: .seconds(15)).status == 0)
        head.signal(SIGTERM)
        #expect(try await head.finish(within: .seconds(15)).status == 0)
      }
    }

    @Test(.timeLimit(.minutes(4)))
    func `that a killed node was doing are interrupted, not failed`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let address = "127.0.0.1:\(try FreePort.any())"
        let head = try network.start([
          "head", "--listen", address, "--verification", "record", "--line-seconds", "0",
        ])
        try await head.prints("ticket create --role supplier")
        let join = try network.start(
          ["join", "-", "--name", "bench", "--address", "127.0.0.9", "--cpus", "1"],
          state: network.root + "/node", input: try await `A ticket`.ticket(.supplier, network))
        func record() async throws -> [String: Any] {
          let history = try await network.iorun("pow", "history", "bench", "--json")
          return history.status == 0 ? try history.json() : [:]
        }
        // Its first rounds follow each other: once one was judged, the next is under way.
        try await eventually("no round was judged", within: .seconds(120)) {
          try await !(record()["verdicts"] as? [Any] ?? []).isEmpty
        } detail: {
          join.errors + head.errors
        }
        join.signal(SIGKILL)
        _ = try await join.finish()
        var reasons: [String] = []
        try await eventually("the head does not see that it was interrupted") {
          let transitions = try await record()["transitions"] as? [[String: Any]] ?? []
          reasons = transitions.compactMap { $0["reason"] as? String }
          return reasons.contains("interrupted")
        } detail: {
          "\(reasons) " + head.errors
        }
        let device = try await record()["device"] as? [String: Any]
        let mark = device?["mark"] as? [String: Any]
        #expect(mark?["status"] as? String == "pending", "\(reasons)")
        let words = try await network.iorun("pow", "explain", "bench")
        #expect(words.output.contains("gone in the middle of a round"), "\(words)")
        head.signal(SIGTERM)
        #expect(try await head.finish(within: .seconds(15)).status == 0)
      }
    }

    @Test(.timeLimit(.minutes(1)))
    func `are measured against a catalogue, to which calibrate adds models`() async throws {
      try await TestNetwork.with(nodes: 0) { network in
        let (samples, known) = (network.root + "/samples.json", network.root + "/models.json")
        let measured: [[String: Any]] = (1...20).map {
          [
            "device": String(format: "%064x", $0), "model": "a CPU of tests", "kind": "cpu.lane",
            "rates": [5e7, 5.1e7, 5.2e7], "is_attested": true,
          ]
        }
        try JSONSerialization.data(withJSONObject: measured)
          .write(to: URL(fileURLWithPath: samples))
        let before = try await network.iorun("pow", "catalogue", "--json")
        try Data(before.output.utf8).write(to: URL(fileURLWithPath: known))
        let after = try await network.iorun(
          "pow", "calibrate", samples, "--model", "a CPU of tests", "--catalogue", known)
        #expect(after.status == 0, "\(after)")
        let models = try after.json()["models"] as? [[String: Any]] ?? []
        let model = try #require(models.first { $0["name"] as? String == "a CPU of tests" })
        let rate = try #require((model["rates"] as? [[String: Any]])?.first)
        #expect(rate["median"] as? Double == 5.1e7 && rate["devices"] as? Int == 20)
        #expect((rate["source"] as? String)?.contains("20 attested devices") == true)
        // Too few, and a catalogue without sources.
        let few = try await network.iorun("pow", "calibrate", samples, "--model", "another")
        #expect(few.status != 0 && few.errors.contains("20 attested devices"), "\(few)")
        let bare = after.output.replacingOccurrences(of: "measured on", with: "")
          .replacingOccurrences(of: "\"devices\":20", with: "\"devices\":0")
        try Data(bare.utf8).write(to: URL(fileURLWithPath: known))
        let head = try await network.iorun(
          "head", "--listen", "127.0.0.1:\(try FreePort.any())", "--catalogue", known)
        #expect(head.status != 0 && head.errors.contains("a rate of cpu.lane"), "\(head)")
      }
    }
  }
}
