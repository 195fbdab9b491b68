import Testing

@Suite("SchedulerBench repair mends all gangs after a loss")
struct RepairCommandTests {
  @Test("each gang that was hit has one answer, and the keys are the stable ones")
  func answers() throws {
    let outcome = try BenchFiles().run(
      "repair", "--devices", "3000", "--sites", "20", "--loss-percent", "4", "--json")
    #expect(outcome.status == 0, "\(outcome)")
    let values = outcome.values
    let kinds = ["replaced", "degraded", "shrunk", "moved", "explained"]
    #expect((values["gangs_hit"] ?? 0) > 10, "\(values)")
    #expect((values["replaced"] ?? 0) > 0, "\(values)")
    #expect(kinds.reduce(0) { $0 + (values[$1] ?? -1) } == values["gangs_hit"], "\(values)")
    for key in ["nodes", "total_seconds", "p50_us", "p99_us"] {
      #expect((values[key] ?? 0) > 0, "\(key) in \(values)")
    }
    #expect(values["moving_seconds"] != nil, "\(values)")
  }
}
