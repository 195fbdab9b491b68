import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Repair of gangs that lost members")
struct RepairPlannerTests {
  /// Sites on a line, 10 ms between neighbours.
  private func line(_ count: Int) throws -> LatencyMatrix {
    let values = (0..<count * count).map { Float(10 * abs($0 / count - $0 % count)) }
    return try #require(LatencyMatrix(count: count, milliseconds: values))
  }

  @Test("spares first, then the same site, then the nearest")
  func order() throws {
    var planner = RepairPlanner(try line(4), free: [1, 5, 5, 5])
    let repair = try planner.repair(
      .init(left: [0: 3, 1: 1], lost: [0: 3], spares: [1: 1], maxRTTMilliseconds: 10))
    #expect(repair == .replaced([1: 2, 0: 1], spares: 1))
    #expect(planner.free == [0, 4, 5, 5])
  }

  @Test("longer round trips, fewer devices, another place: what is allowed, in this order")
  func allowances() throws {
    let loss = RepairPlanner.Casualty(left: [0: 3], lost: [0: 1], maxRTTMilliseconds: 8)
    func repair(_ allowance: RepairPlanner.Allowance) throws -> RepairPlanner.Repair {
      var planner = RepairPlanner(try line(3), free: [0, 4, 4])
      var loss = loss
      loss.allowance = allowance
      return try planner.repair(loss)
    }
    #expect(
      try repair(.init(stretch: 1.25, fewestDevices: 1))
        == .degraded([1: 1], maxRTTMilliseconds: 10))
    #expect(try repair(.init(stretch: 1, fewestDevices: 3)) == .shrunk(devices: 3))
    guard case .migrated(let choice) = try repair(.init(stretch: 1, fewestDevices: 4)) else {
      Issue.record("not migrated")
      return
    }
    #expect(choice.shares.map(\.devices) == [4] && choice.maxRTTMilliseconds == 0)
    guard case .impossible(let reason) = try repair(.init(stretch: 1, mayMigrate: false)) else {
      Issue.record("repaired")
      return
    }
    #expect(reason.contains("1 devices are missing; 8 are free, 0 of them"))
  }

  @Test("no device is given twice, and no round trip is longer than allowed", arguments: 1...50)
  func properties(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let count = 12
    let values = (0..<count * count).map { _ in Float.random(in: 1...50, using: &random) }
    let matrix = try #require(LatencyMatrix(count: count, milliseconds: values))
    let start = (0..<count).map { _ in Int.random(in: 0...3, using: &random) }
    var planner = RepairPlanner(matrix, free: start)
    var balance = start.reduce(0, +)
    for _ in 0..<20 {
      let home = Int.random(in: 0..<count, using: &random)
      let loss = RepairPlanner.Casualty(
        left: [home: 2], lost: [home: Int.random(in: 1...2, using: &random)],
        spares: Bool.random(using: &random) ? [Int.random(in: 0..<count, using: &random): 1] : [:],
        maxRTTMilliseconds: 30, allowance: .init(mayMigrate: false))
      let repair = try planner.repair(loss)
      let missing = loss.lost.values.reduce(0, +)
      switch repair {
      case .replaced(let shares, let spares):
        #expect(shares.values.reduce(0, +) == missing)
        #expect(matrix.longest(among: Set(shares.keys).union([home]).sorted()) <= 30)
        balance -= missing - spares
      case .degraded(let shares, let reached):
        #expect(shares.values.reduce(0, +) == missing)
        #expect(reached <= 37.5)
        balance = planner.free.reduce(0, +)
      case .impossible: break
      case .shrunk, .migrated: Issue.record("not allowed")
      }
      #expect(planner.free.allSatisfy { $0 >= 0 })
      #expect(planner.free.reduce(0, +) == balance)
    }
  }

  @Test("sites, counts, round trips and factors that are none are refused")
  func hostile() throws {
    let wrong: [RepairPlanner.Casualty] = [
      .init(left: [9: 1], lost: [0: 1]), .init(left: [0: -1], lost: [0: 1]),
      .init(left: [0: 1], lost: [-1: 1]), .init(left: [0: 1], lost: [0: Int.max]),
      .init(left: [0: 1], lost: [0: 1], maxRTTMilliseconds: .nan),
      .init(left: [0: 1], lost: [0: 1], allowance: .init(stretch: .nan)),
    ]
    for loss in wrong {
      #expect(throws: IorunError.self) {
        var planner = RepairPlanner(try line(2), free: [1, 1])
        _ = try planner.repair(loss)
      }
    }
  }
}
