import Testing

@Suite("SchedulerBench scale drains a queue in which every task waits by itself")
struct ScaleCommandTests {
  private static let arguments = [
    "scale", "--devices", "200", "--tasks", "3000", "--shapes", "40", "--seed", "7", "--json",
  ]

  @Test("each task is placed once, and its keys are the stable ones")
  func drained() throws {
    let outcome = try BenchFiles().run(arguments: Self.arguments)
    #expect(outcome.status == 0, "\(outcome)")
    let values = outcome.values
    #expect(values["placed"] == 3000 && values["never_fit"] == 0, "\(values)")
    // A refusal is a decision, too; without one the queue would never have been full.
    #expect((1...40).contains(values["refused"] ?? 0), "\(values)")
    #expect((50...100).contains(values["busy_percent"] ?? 0), "\(values)")
    #expect((1...64).contains(values["queue_bytes_per_task"] ?? 0), "\(values)")
    #expect((values["bytes_per_device"] ?? 0) > 1, "\(values)")
    for key in ["decisions_per_second", "p50_us", "p99_us", "p999_us", "drain_us_per_task"] {
      #expect((values[key] ?? 0) > 0, "\(key) in \(values)")
    }
  }

  @Test("the same seed drains in the same way, another in another")
  func repeated() throws {
    func simulated(_ arguments: [String]) throws -> [Double?] {
      let values = try BenchFiles().run(arguments: arguments).values
      return ["simulated_hours", "busy_percent", "refused"].map { values[$0] }
    }
    let first = try simulated(Self.arguments)
    #expect(try simulated(Self.arguments) == first)
    var other = Self.arguments
    other[8] = "8"
    #expect(try simulated(other) != first)
  }

  @Test("tasks that fit on no node are told, and end nothing")
  func neverFit() throws {
    // One node of one GPU: shapes of two, four and eight never fit.
    let outcome = try BenchFiles().run(
      "scale", "--devices", "1", "--tasks", "500", "--shapes", "150", "--json")
    #expect(outcome.status == 0, "\(outcome)")
    let (placed, left) = (outcome.values["placed"] ?? 0, outcome.values["never_fit"] ?? 0)
    #expect(placed > 0 && left > 0 && placed + left == 500, "\(outcome)")
  }
}
