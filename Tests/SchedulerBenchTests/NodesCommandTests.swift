import Testing

@Suite("SchedulerBench nodes decides on a live network's nodes")
struct NodesCommandTests {
  @Test("no answer differs from a look at all nodes, and its keys are the stable ones")
  func compared() throws {
    let outcome = try BenchFiles().run(
      "nodes", "--nodes", "200", "--jobs", "1500", "--shapes", "30", "--scratch", "60", "--json")
    #expect(outcome.status == 0, "\(outcome)")
    let values = outcome.values
    #expect(values["differing_answers"] == 0, "\(values)")
    // Both kinds of answers were compared, and jobs ended to make room.
    #expect((1..<1500).contains(values["refused"] ?? 0), "\(values)")
    let keys = ["decisions_per_second", "cpu_mean_us", "p50_us", "p99_us", "p999_us"]
    for key in keys + ["bytes_per_node", "scratch_decisions_per_second"] {
      #expect((values[key] ?? 0) > 0, "\(key) in \(values)")
    }
  }
}
