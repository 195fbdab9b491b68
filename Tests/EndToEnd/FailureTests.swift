import Foundation
import Testing

extension RealProcesses {
  /// Jobs that end badly by themselves.
  @Suite(.serialized)
  struct `A failing job` {
    @Test
    func `names the rank, its node, its status and its last lines, and stops the others`()
      async throws
    {
      try await TestNetwork.with(nodes: 3) { network in
        let script = """
          if [ $RANK = 1 ]; then echo first words; echo last words; exit 5; fi
          sleep 300
          """
        let submit = try await network.iorun("submit", "--ranks", "3", "--", "sh", "-c", script)
        #expect(submit.status == 5, "\(submit)")
        let job = try await network.job("sh")
        #expect(job["state"] as? String == "failed")
        #expect(job["exit_status"] as? Int == 5)
        let ranks = try #require(job["ranks"] as? [[String: Any]])
        let causes = ranks.compactMap { $0["cause"] as? [String: Any] }
        #expect(
          causes.compactMap { $0["kind"] as? String } == ["gang_stopped", "exited", "gang_stopped"])
        #expect((causes[0]["text"] as? String)?.contains("another rank failed") == true)
        #expect(ranks[1]["last_lines"] as? [String] == ["first words", "last words"])
        let node = try #require(ranks[1]["node_name"] as? String)
        let reason = try #require(job["reason"] as? String)
        for words in ["rank 1", node, "status 5", "last words"] {
          #expect(reason.contains(words), "\(reason)")
          #expect(submit.errors.contains(words), "\(submit)")
        }
      }
    }

    @Test
    func `names the signal that ended a rank`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let submit = try await network.iorun("submit", "--", "sh", "-c", "kill -SEGV $$")
        #expect(submit.status == 128 + 11, "\(submit)")
        #expect(submit.errors.contains("signal 11 (SIGSEGV)"), "\(submit)")
        let ranks = try await network.job("sh")["ranks"] as? [[String: Any]]
        let cause = try #require(ranks?.first?["cause"] as? [String: Any])
        #expect(cause["kind"] as? String == "signalled")
        #expect(cause["signal"] as? Int == 11)
      }
    }

    @Test
    func `says that its command does not exist and what to do`() async throws {
      try await TestNetwork.with(nodes: 1) { network in
        let submit = try await network.iorun("submit", "--", "no-such-program", "-x")
        #expect(submit.status == 3, "\(submit)")
        #expect(submit.errors.contains("'no-such-program' was not found"), "\(submit)")
        #expect(submit.errors.contains("working_dir"), "\(submit)")
        let notExecutable = try network.write("text", to: "work/notes.txt")
        let other = try await network.iorun(
          "submit", "--working-dir", network.root + "/work", "--", "./notes.txt")
        #expect(other.status == 3 || other.status == 126, "\(other)")
        #expect(other.errors.contains("notes.txt"), "\(notExecutable) \(other)")
      }
    }

    @Test
    func `is stopped at its timeout`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let marker = "IETEST=\(UUID().uuidString)"
        let submit = try await network.iorun(
          "submit", "--ranks", "2", "--timeout", "2s", "--env", marker, "--", "sleep", "300")
        #expect(submit.status == 7, "\(submit)")
        #expect(submit.errors.contains("timeout of 2 s"), "\(submit)")
        #expect(submit.elapsed > .seconds(2) && submit.elapsed < .seconds(12), "\(submit)")
        #expect(ProcessScan.all(marker).isEmpty)
      }
    }

    @Test
    func `is tried as often as its retries say`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let script = "echo try $TORCHELASTIC_RESTART_COUNT; exit 9"
        let submit = try await network.iorun(
          "submit", "--retries", "2", "--", "sh", "-c", script)
        #expect(submit.status == 9, "\(submit)")
        #expect(submit.lines == ["try 0", "try 1", "try 2"], "\(submit)")
        #expect(try await network.job("sh")["attempt"] as? Int == 3)
        let better = try await network.iorun(
          "submit", "--retries", "2", "--", "sh", "-c",
          "echo try $TORCHELASTIC_RESTART_COUNT; [ $TORCHELASTIC_RESTART_COUNT = 1 ]")
        #expect(better.status == 0, "\(better)")
        #expect(better.lines == ["try 0", "try 1"], "\(better)")
      }
    }
  }
}
