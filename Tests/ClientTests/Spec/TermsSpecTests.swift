import IorunCore
import Testing

@testable import IorunClient

@Suite("Terms of a gang in a spec")
struct TermsSpecTests {
  private func read(_ text: String) throws -> JobSpec {
    try JobSpecFile.parse(yaml: text, file: "job.yaml").spec
  }

  @Test("all keys are read")
  func all() throws {
    let spec = try read(
      """
      command: "true"
      start_by: 30m
      preemptible: true
      gang:
        ranks: 4
        placement: [SITE(20ms), PACK]
        labels: {region: 'in(eu,us)', tier: '!slow'}
        spread_over: {supplier: 2, region: 3}
        max_price: 1.5
        spares: 1
        on_loss: shrink
        min_ranks: 3
      """)
    #expect(spec.startBySeconds == 1800)
    #expect(spec.isPreemptible == true)
    let terms = try #require(spec.gang.terms)
    #expect(spec.gang.placement == .site(maxRoundTripMilliseconds: 20))
    #expect(terms.fallbacks == [.pack])
    #expect(terms.labels == ["region": "in(eu,us)", "tier": "!slow"])
    #expect(terms.mostRanksPerSupplier == 2 && terms.mostRanksPerRegion == 3)
    #expect(terms.mostMicrodollarsPerHour == 1_500_000)
    #expect(terms.spares == 1 && terms.onLoss == .shrink && terms.leastRanks == 3)
  }

  @Test("a gang that asks nothing has no terms; spread_over may be a word or a list")
  func short() throws {
    #expect(try read("command: 'true'\ngang: {ranks: 2}").gang.terms == nil)
    #expect(
      try read("command: 'true'\ngang: {spread_over: supplier}").gang.terms?.mostRanksPerSupplier
        == 1)
    let both = try read("command: 'true'\ngang: {spread_over: [supplier, region]}").gang.terms
    #expect(both?.mostRanksPerSupplier == 1 && both?.mostRanksPerRegion == 1)
  }

  @Test(
    "what is wrong is named with its place",
    arguments: [
      "placement: []", "placement: [PACK, NEAR]", "labels: {a: 'in(x'}", "labels: {a: ''}",
      "labels: [a]", "spread_over: rack", "spread_over: {supplier: 0}", "max_price: -1",
      "max_price: cheap", "spares: 65", "on_loss: mend", "min_ranks: 1",
      "on_loss: shrink, min_ranks: 9", "spares: .nan",
    ])
  func wrong(line: String) {
    let error = #expect(throws: IorunError.self) {
      _ = try read("command: 'true'\ngang: {ranks: 2, \(line)}")
    }
    #expect(error?.code == .specInvalid)
    #expect(error?.message.hasPrefix("job.yaml:2:") == true, "\(error?.message ?? "")")
  }

  @Test(
    "start_by and preemptible are checked", arguments: ["start_by: soon", "preemptible: maybe"])
  func topLevel(line: String) {
    #expect(throws: IorunError.self) { _ = try read("command: 'true'\n\(line)") }
  }
}
