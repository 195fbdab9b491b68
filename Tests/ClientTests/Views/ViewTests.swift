import Foundation
import IorunClient
import IorunContract
import IorunCore
import Testing

@Suite struct ViewTests {
  private func object(_ view: some Encodable) throws -> [String: Any] {
    let line = try JSONOutput.line(view)
    #expect(line.hasSuffix("}\n") && line.count { $0 == "\n" } == 1, "one object on one line")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
  }

  @Test func `a job has snake_case keys with units, and its environment as it is`() throws {
    let job = try object(JobView(Samples.job(.failed)))
    #expect(job["id"] as? String == "job-7k3f9q2m")
    #expect(job["exit_status"] as? Int == 3)
    #expect(job["is_over"] as? Bool == true)
    #expect(job["timeout_seconds"] as? Double == 60)
    #expect(job["submitted_at_unix_seconds"] as? Double == 1000)
    #expect(job["env"] as? [String: String] == ["LEARNING_RATE": "0.1", "camelCase": "x"])
    let gang = try #require(job["gang"] as? [String: Any])
    let resources = try #require(gang["resources_per_rank"] as? [String: Any])
    #expect(resources["cpus"] as? Double == 0.5)
    #expect(resources["memory_bytes"] as? Int == 1 << 30)
    #expect(job["reason"] == nil, "what is not known is left out")
  }

  @Test func `a rank's end has a kind for programs and a text for people`() throws {
    let rank = Samples.rank(0, .ended, cause: .signalled(signal: 9))
    let job = try object(JobView(Samples.job(.failed, ranks: [rank])))
    let ranks = try #require(job["ranks"] as? [[String: Any]])
    let cause = try #require(ranks[0]["cause"] as? [String: Any])
    #expect(cause["kind"] as? String == "signalled")
    #expect(cause["signal"] as? Int == 9)
    #expect((cause["text"] as? String)?.contains("SIGKILL") == true)
  }

  @Test func `a swift job has a target in the place of a command`() throws {
    let job = try object(
      JobView(Samples.job(entrypoint: .swift(target: "Train", arguments: ["-v"]))))
    #expect(job["swift_target"] as? String == "Train")
    #expect(job["command"] == nil)
  }

  @Test func `nodes, network, outputs, tickets and errors have the documented keys`() throws {
    let nodes = try #require(try object(NodesView([Samples.node]))["nodes"] as? [[String: Any]])
    #expect(nodes[0]["round_trip_milliseconds"] as? Double == 0.42)
    #expect((nodes[0]["gpus"] as? [[String: Any]])?[0]["memory_bytes"] as? Int == 80 << 30)
    let network = try object(NetworkView(Samples.network))
    #expect(network["nodes_by_state"] as? [String: Int] == Samples.network.nodes)
    let outputs = try object(OutputsView(job: Samples.job().id, outputs: Samples.outputs))
    #expect((outputs["outputs"] as? [[String: Any]])?[0]["size_bytes"] as? Int == 2048)
    let error = try object(ErrorView(IorunError(.notFound, "no job", remedy: "Look")))
    let body = try #require(error["error"] as? [String: Any])
    #expect(body["code"] as? String == "IOR-1305")
    #expect(body["exit_status"] as? Int == 4)
  }

  @Test func `every key that is printed is documented in docs/JSON.md`() throws {
    let root = (0..<4).reduce(URL(fileURLWithPath: #filePath)) { url, _ in
      url.deletingLastPathComponent()
    }
    let document = try String(contentsOf: root.appending(path: "docs/JSON.md"), encoding: .utf8)
    let ranks = [
      Samples.rank(0, .ended, cause: .signalled(signal: 9)),
      Samples.rank(1, .ended, cause: .exited(status: 3)),
    ]
    let ticket = TicketStatus(
      id: "t", role: .buyer, usesLeft: 1, expiresAt: 1, isRevoked: false, label: "x")
    let request = TicketRequest(role: .buyer, uses: 1, lifetimeSeconds: 60, label: "x")
    let plan = PlacementPlan(
      places: [.init(rank: 0, node: Samples.peer, nodeName: "n", gpuIndices: [0])],
      refusal: "no", fitsWhenIdle: true, sites: [1], longestRoundTripMilliseconds: 2)
    let sites = NetworkSites(sites: [
      .init(
        number: 1, nodes: [Samples.peer], neighbours: [.init(site: 2, roundTripMilliseconds: 9)])
    ])
    let offer = PlacementOffer(
      shares: [.init(node: Samples.peer, nodeName: "n", ranks: 2)],
      longestRoundTripMilliseconds: 2, leastRoundTripMilliseconds: 1, microdollarsPerHour: 5,
      reliability: 1, words: "cheapest", reasons: ["x"])
    var job = Samples.job(.failed, ranks: ranks, reason: "x")
    job.spec.gang.gpuModel = "H100"
    job.spec.gang.placement = .pack
    let swift = Samples.job(entrypoint: .swift(target: "Train", arguments: []))
    let lines = [
      try JSONOutput.line(JobsView([job, swift])), try JSONOutput.line(NodesView([Samples.node])),
      try JSONOutput.line(NetworkView(Samples.network)),
      try JSONOutput.line(
        OutputsView(job: job.id, outputs: Samples.outputs, folder: "out")),
      try JSONOutput.line(TicketsView([ticket])),
      try JSONOutput.line(NewTicketView(text: "x", request: request)),
      try JSONOutput.line(PlanView(plan)),
      try JSONOutput.line(SitesView(sites, nodes: [Samples.node])),
      try JSONOutput.line(OffersView([offer])),
      try JSONOutput.line(
        ExplanationView(
          JobExplanation(job: job, plan: plan, sites: [1], longestRoundTripMilliseconds: 2))),
      try JSONOutput.line(
        ErrorView(IorunError(.notFound, "x", remedy: "y", cause: CancellationError()))),
    ]
    let free: Set = [
      "LEARNING_RATE", "camelCase", "alive", "dead", "suspect", "odd", "running", "failed",
    ]
    let keys = Set(lines.flatMap { $0.matches(of: /"(\w+)":/).map { String($0.1) } })
    #expect(keys.count > 50)
    for key in keys.subtracting(free).sorted() {
      #expect(document.contains("`\(key)`"), "docs/JSON.md does not say what \(key) is")
    }
  }
}
