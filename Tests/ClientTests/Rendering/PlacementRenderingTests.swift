import IorunClient
import IorunContract
import IorunCore
import Testing

@Suite struct PlacementRenderingTests {
  @Test func `a job that waits is told why, and one that runs how far its nodes are apart`() {
    var job = Samples.job(.queued)
    job.spec.gang.placement = .site(maxRoundTripMilliseconds: 20)
    let plan = PlacementPlan(places: [], refusal: "3 nodes seen", fitsWhenIdle: true)
    let waits = PlacementRendering.explanation(
      JobExplanation(job: job, plan: plan, sites: [], longestRoundTripMilliseconds: nil))
    #expect(waits.contains("asked: 2 ranks") && waits.contains("SITE(20ms)"), "\(waits)")
    #expect(waits.contains("waits: 3 nodes seen"), "\(waits)")
    let running = Samples.job(.running, ranks: [Samples.rank(0), Samples.rank(1)])
    let runs = PlacementRendering.explanation(
      JobExplanation(
        job: running, plan: nil, sites: [0, 4], longestRoundTripMilliseconds: 14.23,
        choice: PlacementChoice(
          strategy: .pack, fallback: 1, spares: [.init(node: Samples.peer, nodeName: "node-9")],
          reasons: ["fallback 1: PACK, since SITE(5 ms) did not fit"])))
    #expect(runs.contains("  why: fallback 1: PACK, since SITE(5 ms) did not fit"), "\(runs)")
    #expect(runs.contains("  spares: node-9"), "\(runs)")
    #expect(runs.contains("in sites 0, 4, at most 14.2 ms apart"), "\(runs)")
    #expect(runs.contains("node-1 x1, node-2 x1"), "\(runs)")
  }

  @Test func `offers show price, round trip and why`() {
    let offer = PlacementOffer(
      shares: [.init(node: Samples.peer, nodeName: "n", ranks: 2)],
      longestRoundTripMilliseconds: nil, leastRoundTripMilliseconds: 1,
      microdollarsPerHour: 12_345_678, reliability: 0.9, words: "cheapest", reasons: [])
    let table = PlacementRendering.table([offer]).render(.plain)
    for words in ["12.35", "unknown", "90.0 %", "n x2", "cheapest"] {
      #expect(table.contains(words), "\(words): \(table)")
    }
  }
}
