import Foundation
import IorunCore
import IorunWire
import Testing

@testable import IorunRuntime

/// What a process tells its agent of its tasks.
@Suite(.serialized, .timeLimit(.minutes(2))) struct TaskReporterTests {
  private let far = ProcessAddress(
    node: NodeID(high: 2, low: 2), worker: WorkerID(high: 3, low: 3))

  private struct Row: Decodable {
    var id: String
    var name: String
    var state: String

    init(from decoder: any Decoder) throws {
      var values = try decoder.unkeyedContainer()
      id = try values.decode(String.self)
      name = try values.decode(String.self)
      state = try values.decode(String.self)
    }
  }

  private struct Report: Decodable { var tasks: [Row] }

  private func reports(_ hub: FakeHub) throws -> [[Row]] {
    try hub.messages(.report).map {
      try JSONDecoder().decode(Report.self, from: $0.json).tasks
    }
  }

  private func states(_ hub: FakeHub, _ name: String) throws -> [String] {
    try reports(hub).flatMap { $0 }.filter { $0.name == name }.map(\.state)
  }

  private func eventually(_ what: String, _ condition: () throws -> Bool) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try !condition() {
      try #require(ContinuousClock.now < deadline, "it did not come: \(what)")
      try await Task.sleep(for: .milliseconds(2))
    }
  }

  private func with(_ body: (FakeHub, ClusterProcess) async throws -> Void) async throws {
    let hub = try FakeHub()
    let process = try await hub.driver()
    defer { hub.close(process) }
    try await body(hub, process)
  }

  private func submit(_ process: ClusterProcess, _ name: String) throws -> TaskRecord {
    try process.tasks.submit(
      name: name, arguments: Payload(), options: TaskOptions(), results: 1
    ).record
  }

  /// Gives a worker on another node to whoever has asked first.
  private func grant(_ hub: FakeHub) async throws {
    struct Lease: Encodable {
      var lease = 1
      var worker: WorkerID
      var node: NodeID
      var gpus: [Int] = []
    }
    try await eventually("a request for a lease") { !hub.messages(.lease).isEmpty }
    let number = try #require(hub.messages(.lease).first).number
    try hub.answer(number, Lease(worker: far.worker, node: far.node))
  }

  private func done(_ hub: FakeHub, _ record: TaskRecord) async throws {
    try await eventually("task \(record.number) at its worker") {
      hub.parcels.contains { $0.header.kind == .task && $0.header.number == record.number }
    }
    try hub.frame(.taskDone, aux: ReplyKind.value, number: record.number, from: far) { frame in
      frame.append(integer: UInt64(1000))
      frame.append(integer: UInt16(1))
      frame.append(integer: ReplyKind.value)
      frame.append(integer: UInt32(5))
      // No references, and null.
      frame.append(integer: UInt32(0))
      frame.append(0xf6)
    }
  }

  @Test func `a task that waits is told of, then that it runs, then its end`() async throws {
    try await with { hub, process in
      let record = try submit(process, "slow")
      try await eventually("that it waits") { try states(hub, "slow").contains("PENDING") }
      try await grant(hub)
      try await eventually("that it runs") { try states(hub, "slow").contains("RUNNING") }
      try await done(hub, record)
      try await eventually("its end") { try states(hub, "slow").last == "FINISHED" }
      let told = try states(hub, "slow")
      #expect(told.filter { $0 == "FINISHED" }.count == 1)
      let order = ["PENDING", "RUNNING", "FINISHED"]
      #expect(told.compactMap(order.firstIndex) == told.compactMap(order.firstIndex).sorted())
      #expect(Set(try reports(hub).flatMap { $0 }.map(\.id)).count == 1)
    }
  }

  @Test func `a task that is cancelled before it ran is told of as such`() async throws {
    try await with { hub, process in
      let record = try submit(process, "unwanted")
      try await eventually("that it waits") { try states(hub, "unwanted").contains("PENDING") }
      process.tasks.cancel(record, force: false, recursive: false)
      try await eventually("its end") { try states(hub, "unwanted").last == "CANCELLED" }
    }
  }

  @Test func `of many tasks a report tells some, and of each that it called open the end`()
    async throws
  {
    try await with { hub, process in
      let records = try (0..<2000).map { _ in try submit(process, "many") }
      try await eventually("what waits") { try states(hub, "many").contains("PENDING") }
      for record in records { process.tasks.cancel(record, force: false, recursive: false) }
      try await eventually("the end of each that was told of") {
        let rows = try reports(hub).flatMap { $0 }
        let open = Set(rows.filter { $0.state == "PENDING" }.map(\.id))
        return open.isSubset(of: rows.filter { $0.state == "CANCELLED" }.map(\.id))
      }
      // What is open, and at most as many ends again: it does not grow with the number of tasks.
      #expect(try reports(hub).allSatisfy { $0.count <= 1600 })
    }
  }
}
