import Foundation
import Testing

extension RealProcesses {
  /// Jobs that no nodes can take, and `--plan`.
  @Suite(.serialized)
  struct `A gang without a place` {
    @Test
    func `is refused with an explanation, and nothing is kept`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let gpus = try await network.iorun(
          "submit", "--ranks", "2", "--gpu-model", "unobtainable", "--gpus", "64", "--", "true")
        #expect(gpus.status == 2, "\(gpus)")
        #expect(gpus.errors.contains("IOR-1303"), "\(gpus)")
        #expect(gpus.errors.contains("2 nodes") && gpus.errors.contains("GPU"), "\(gpus)")
        let cpus = try await network.iorun("submit", "--cpus", "9", "--json", "--", "true")
        #expect(cpus.status == 2, "\(cpus)")
        let error = try #require(try cpus.json()["error"] as? [String: Any])
        #expect(error["code"] as? String == "IOR-1303")
        #expect(error["exit_status"] as? Int == 2)
        #expect((error["message"] as? String)?.contains("CPU") == true, "\(error)")
        let jobs = try await network.iorun("status", "--json").json()["jobs"] as? [Any]
        #expect(jobs?.isEmpty == true)
      }
    }

    @Test
    func `is planned without being run`() async throws {
      try await TestNetwork.with(nodes: 2) { network in
        let fits = try await network.iorun("submit", "--plan", "--ranks", "2", "--", "true")
        #expect(fits.status == 0, "\(fits)")
        #expect(fits.output.contains("node-1") && fits.output.contains("node-2"), "\(fits)")
        #expect(fits.output.contains("why: ") && fits.output.contains("$/HOUR"), "\(fits)")
        let refused = try await network.iorun(
          "submit", "--plan", "--ranks", "2", "--cpus", "9", "--json", "--", "true")
        #expect(refused.status == 2, "\(refused)")
        let plan = try refused.json()
        #expect(plan["fits"] as? Bool == false)
        #expect(plan["fits_when_idle"] as? Bool == false)
        let funnel = try #require(plan["funnel"] as? [String: Any])
        #expect(funnel["seen"] as? Int == 2 && funnel["left"] as? Int == 0, "\(funnel)")
        #expect((plan["offers"] as? [Any])?.isEmpty == true, "\(plan)")
        #expect((plan["refusal"] as? String)?.isEmpty == false)
        let jobs = try await network.iorun("status", "--json").json()["jobs"] as? [Any]
        #expect(jobs?.isEmpty == true)
      }
    }

    @Test
    func `waits where the nodes are only busy`() async throws {
      try await TestNetwork.with(nodes: 1, cpus: 2) { network in
        let script = "until [ -e \(network.root)/go ]; do sleep 0.05; done"
        let first = try await network.detach("--cpus", "2", "--", "sh", "-c", script)
        _ = try await network.job(first, reaches: "running")
        let second = try await network.detach("--", "true")
        let waiting = try await network.job(second)
        #expect(waiting["state"] as? String == "queued")
        #expect((waiting["reason"] as? String)?.isEmpty == false, "it says what it waits for")
        try network.write("", to: "go")
        _ = try await network.job(second, reaches: "succeeded")
      }
    }
  }
}
