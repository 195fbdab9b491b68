import Foundation
import Testing

extension RealProcesses {
  /// The main job: three ranks train one network.
  @Suite(.serialized)
  struct `The training example` {
    @Test(.timeLimit(.minutes(4)))
    func `reaches 95 percent, and its logs and outputs can be had by others`() async throws {
      try await TestNetwork.with(nodes: 3) { network in
        let submit = try network.start(["submit", Binaries.digits + "/job.yaml"])
        try await submit.prints("epoch 1/", within: .seconds(120))
        // A second client reads along from the start while the job runs.
        let follower = try network.start(["logs", "-f", "train-digits"])
        try await follower.prints("epoch 1/")
        #expect(submit.isRunning)

        let result = try await submit.finish(within: .seconds(180))
        try #require(result.status == 0, "\(result)")
        let epochs = result.lines.filter { $0.hasPrefix("[0] epoch ") }
        #expect(epochs.count == 30, "\(result)")
        #expect(epochs.allSatisfy { $0.contains("loss") && $0.contains("accuracy") })
        let followed = try await follower.finish()
        #expect(followed.status == 0, "\(followed)")
        #expect(followed.output == result.output)

        let id = try Self.acceptedJob(result)
        let logs = try await network.iorun("logs", id)
        #expect(logs.output == result.output)
        let one = try await network.iorun("logs", id, "--rank", "0")
        #expect(one.lines.count == result.lines.count)
        #expect(one.lines.first?.hasPrefix("epoch 1/30") == true, "\(one)")
        #expect(try await network.iorun("logs", id, "--rank", "1").output == "")
        let none = try await network.iorun("logs", id, "--rank", "3")
        #expect(none.status == 4, "\(none)")

        let listed = try await network.iorun("outputs", id, "--json")
        let outputs = try #require(try listed.json()["outputs"] as? [[String: Any]])
        #expect(
          outputs.compactMap { $0["path"] as? String }.sorted() == ["metrics.json", "model.bin"])

        let folder = network.root + "/fetched"
        let fetched = try await network.iorun("outputs", id, "--to", folder)
        try #require(fetched.status == 0, "\(fetched)")
        let metrics = try JSONDecoder().decode(
          Metrics.self, from: Data(contentsOf: URL(fileURLWithPath: folder + "/metrics.json")))
        #expect(metrics.worldSize == 3)
        let accuracy = try #require(metrics.epochs.last?.accuracy)
        #expect(accuracy >= 0.95 && accuracy <= 1)
        let model = try Data(contentsOf: URL(fileURLWithPath: folder + "/model.bin"))
        // Eight bytes of magic, three layer sizes, and the parameters as 32-bit floats.
        #expect(model.count == 8 + 3 * 4 + 4 * metrics.parameters)
        // A linear classifier has 64 x 10 weights and 10 biases: this one is larger.
        #expect(metrics.parameters > 650)
      }
    }

    private struct Metrics: Decodable {
      var worldSize: Int
      var parameters: Int
      var epochs: [Epoch]

      struct Epoch: Decodable { var accuracy: Double }
    }

    static func acceptedJob(_ result: CommandResult) throws -> String {
      let line = try #require(
        result.errors.split(separator: "\n").first { $0.hasPrefix("accepted job-") }, "\(result)")
      return String(line.dropFirst("accepted ".count))
    }
  }
}
