import Foundation
import Testing

extension RealProcesses {
  /// `kill -9` of the head.
  @Suite(.serialized)
  struct `A head that is killed` {
    @Test(.timeLimit(.minutes(4)))
    func `comes back, and the running job, its log and its client lose nothing`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let script = "i=0; while [ $i -lt 60 ]; do echo n$i; i=$((i+1)); sleep 0.1; done"
        let submit = try network.start(["submit", "--ranks", "3", "--", "sh", "-c", script])
        try await submit.prints("[2] n5\n")
        kill(try network.pid(of: "head"), SIGKILL)
        // The job must go on while there is no head: let it print a while unheard.
        try await eventually("the ranks go on", within: .seconds(10)) {
          !ProcessScan.isRunning(try network.pid(of: "head"))
        }
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        #expect(up.output.contains("started: head"), "\(up)")

        let result = try await submit.finish(within: .seconds(60))
        #expect(result.status == 0, "\(result)")
        let expected = Set((0..<3).flatMap { rank in (0..<60).map { "[\(rank)] n\($0)" } })
        #expect(result.lines.count == 180, "each number once: \(result)")
        #expect(Set(result.lines) == expected)
        let job = try await network.job(try `The training example`.acceptedJob(result))
        #expect(job["state"] as? String == "succeeded")
        #expect(job["attempt"] as? Int == 1)
        for rank in 0..<3 {
          let logs = try await network.iorun("logs", "sh", "--rank", "\(rank)")
          #expect(logs.lines == (0..<60).map { "n\($0)" }, "rank \(rank), in order")
        }
      }
    }

    @Test(.timeLimit(.minutes(3)))
    func `does not end a training whose ranks speak through it`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let spec = try network.write(
          """
          name: digits
          swift: {target: train-digits, arguments: [--epochs, "12"]}
          working_dir: .
          gang: {ranks: 3, resources: {cpus: 0.5}}
          outputs: [metrics.json]
          """, to: "work/job.yaml")
        try FileManager.default.copyItem(
          atPath: Binaries.digits + "/digits.csv", toPath: network.root + "/work/digits.csv")
        let submit = try network.start(["submit", spec])
        try await submit.prints("epoch 3/", within: .seconds(90))
        kill(try network.pid(of: "head"), SIGKILL)
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        let result = try await submit.finish(within: .seconds(90))
        #expect(result.status == 0, "\(result)")
        #expect(result.lines.filter { $0.contains("epoch ") }.count == 12, "\(result)")
        let job = try await network.job(try `The training example`.acceptedJob(result))
        #expect(job["attempt"] as? Int == 1)
      }
    }

    @Test
    func `still knows a job that waited when it died`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 1) { network in
        let script = "until [ -e \(network.root)/go ]; do sleep 0.05; done"
        let first = try await network.detach("--", "sh", "-c", script)
        _ = try await network.job(first, reaches: "running")
        let second = try await network.detach("--", "echo", "waited")
        #expect(try await network.job(second)["state"] as? String == "queued")
        kill(try network.pid(of: "head"), SIGKILL)
        try await eventually("the head is gone") {
          !ProcessScan.isRunning(try network.pid(of: "head"))
        }
        let up = try await network.iorun("up")
        try #require(up.status == 0, "\(up)")
        try network.write("", to: "go")
        _ = try await network.job(first, reaches: "succeeded")
        _ = try await network.job(second, reaches: "succeeded")
        #expect(try await network.iorun("logs", second).output == "waited\n")
      }
    }
  }
}
