import IorunCore
import Testing

@testable import IorunScheduler

@Suite("Quotas and cohorts")
struct CohortsTests {
  private func cores(_ number: Int) -> ResourceSet { ResourceSet(milliCPUs: number * 1000) }
  private func demand(_ number: Int) -> QueueDemand { QueueDemand(cores(number)) }

  private func cohorts(borrowing: ResourceSet? = nil) -> Cohorts {
    Cohorts(
      [
        "a": .init(cohort: "team", nominal: cores(4), borrowing: borrowing),
        "b": .init(cohort: "team", nominal: cores(4)),
        "c": .init(cohort: "other", nominal: cores(2)),
      ], capacity: demand(12))
  }

  @Test(
    "what is within the quota is its own, what is beyond is borrowed, and no more than there is")
  func borrows() {
    let cohorts = cohorts()
    #expect(cohorts.admission(of: demand(4), by: "a", held: [:]) == .own)
    #expect(cohorts.admission(of: demand(1), by: "a", held: ["a": demand(4)]) == .borrows)
    // b's 4 and the 2 of nobody are all that is lent.
    #expect(cohorts.admission(of: demand(6), by: "a", held: ["a": demand(4)]) == .borrows)
    guard case .waits = cohorts.admission(of: demand(7), by: "a", held: ["a": demand(4)]) else {
      Issue.record("more was lent than there is")
      return
    }
    // What b uses is not lent.
    let held = ["a": demand(6), "b": demand(4)]
    guard case .waits = cohorts.admission(of: demand(1), by: "a", held: held) else {
      Issue.record("b's own was lent while b used it")
      return
    }
    // c's quota is another cohort's.
    #expect(cohorts.admission(of: demand(2), by: "c", held: held) == .own)
  }

  @Test("nobody borrows more than it may")
  func borrowingLimit() {
    let cohorts = cohorts(borrowing: cores(1))
    #expect(cohorts.admission(of: demand(1), by: "a", held: ["a": demand(4)]) == .borrows)
    guard case .waits = cohorts.admission(of: demand(2), by: "a", held: ["a": demand(4)]) else {
      Issue.record("it borrowed more than it may")
      return
    }
  }

  @Test("who has no quota shares what is nobody's, and gives it back to those who have one")
  func withoutQuota() {
    let cohorts = cohorts()
    #expect(cohorts.admission(of: demand(2), by: "x", held: [:]) == .borrows)
    guard case .waits = cohorts.admission(of: demand(3), by: "x", held: [:]) else {
      Issue.record("a stranger got what is others'")
      return
    }
    #expect(cohorts.mayReclaim(for: "a", from: "x", held: ["x": demand(2)]))
    #expect(!cohorts.mayReclaim(for: "x", from: "a", held: ["a": demand(9)]))
  }

  @Test("only what is borrowed within the cohort is taken back")
  func reclaim() {
    let cohorts = cohorts()
    #expect(cohorts.mayReclaim(for: "b", from: "a", held: ["a": demand(5)]))
    #expect(!cohorts.mayReclaim(for: "b", from: "a", held: ["a": demand(4)]))
    #expect(!cohorts.mayReclaim(for: "c", from: "a", held: ["a": demand(9)]))
    #expect(!cohorts.mayReclaim(for: "a", from: "a", held: ["a": demand(9)]))
  }

  @Test("a resource that no quota names is not limited, and without quotas nobody is")
  func unlimited() {
    let gpus = QueueDemand(ResourceSet(gpus: 64))
    #expect(cohorts().admission(of: gpus, by: "a", held: [:]) == .own)
    #expect(Cohorts([:], capacity: .zero).admission(of: gpus, by: "x", held: [:]) == .own)
  }

  @Test("whatever is admitted, nobody holds what belongs to another cohort", arguments: 0..<50)
  func invariant(seed: Int) {
    let cohorts = cohorts()
    var held: [String: QueueDemand] = [:]
    var state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 | 1
    func next(_ most: UInt64) -> Int {
      state ^= state << 13
      state ^= state >> 7
      state ^= state << 17
      return Int(state % most)
    }
    for _ in 0..<40 {
      let tenant = ["a", "b", "c", "x"][next(4)]
      let wanted = demand(1 + next(3))
      if case .waits = cohorts.admission(of: wanted, by: tenant, held: held) { continue }
      held[tenant] = (held[tenant] ?? .zero) + wanted
    }
    #expect((held["x"] ?? .zero).amounts[1] <= 2)
    #expect((held["c"] ?? .zero).amounts[1] <= 4)
  }
}
