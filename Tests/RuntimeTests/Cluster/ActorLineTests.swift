import Foundation
import IorunCore
import IorunWire
import Synchronization
import TestSupport
import Testing

@testable import IorunRuntime

/// The calls of one process to an actor on another node, while the actor is lost, is placed elsewhere,
/// and begins anew.
@Suite(.serialized, .timeLimit(.minutes(2))) struct ActorLineTests {
  private let actor = RuntimeActorID(high: 7, low: 7)

  /// How calls ended, by their targets.
  private final class Ends: Sendable {
    private let state = Mutex<[String: [String]]>([:])
    private let calls = Mutex(0)
    var all: [String: [String]] { state.withLock { $0 } }
    /// How many calls were made.
    var made: Int { calls.withLock { $0 } }
    func isMade() { calls.withLock { $0 += 1 } }
    func add(_ target: String, _ end: String) {
      state.withLock { $0[target, default: []].append(end) }
    }
  }

  private func status(
    _ state: RuntimeActorStatus.State, incarnation: Int, restarts: Int
  ) -> RuntimeActorStatus {
    let spec = RuntimeActorSpec(
      actor: actor, job: JobID("job-00000000")!, name: "", namespace: "", className: "",
      detached: false, demand: RuntimeDemand(resources: ResourceAmounts()), maxRestarts: -1,
      creator: ProcessAddress(node: NodeID(high: 1, low: 1), worker: WorkerID(high: 9, low: 9)),
      methods: "", payload: Data())
    var status = RuntimeActorStatus(spec, state: state)
    status.incarnation = incarnation
    status.restarts = restarts
    if state == .placed || state == .alive {
      let place = place(incarnation)
      (status.node, status.worker) = (place.node, place.worker)
    }
    return status
  }

  /// Each incarnation has a process of its own, on one of two other nodes.
  private func place(_ incarnation: Int) -> ProcessAddress {
    ProcessAddress(
      node: NodeID(high: 2, low: UInt64(incarnation % 2)),
      worker: WorkerID(high: 3, low: UInt64(incarnation)))
  }

  private func call(
    _ line: ActorLine, _ target: String, retries: Int = 0, _ ends: Ends
  ) {
    Task {
      do {
        _ = try await withUnsafeThrowingContinuation { waiter in
          _ = line.add(
            ActorLine.Call(
              target: target, arguments: Payload(), deadline: nil, waiter: waiter,
              retriesLeft: retries))
          ends.isMade()
        }
        ends.add(target, "answered")
      } catch let error as IorunError {
        ends.add(target, "\(error.code)")
      } catch {
        ends.add(target, "\(error)")
      }
    }
  }

  /// Calls in the order in which they are made: one is in the line before the next is made.
  private func calls(
    _ line: ActorLine, _ targets: [String], retries: Int = 0, _ ends: Ends
  ) async throws {
    for target in targets {
      let count = ends.made
      call(line, target, retries: retries, ends)
      try await eventually { ends.made > count }
    }
  }

  private func eventually(
    _ what: String = "", _ condition: () throws -> Bool
  ) async throws {
    let deadline = ContinuousClock.now + .seconds(30)
    while try !condition() {
      try #require(ContinuousClock.now < deadline, "it did not come: \(what)")
      try await Task.sleep(for: .milliseconds(1))
    }
  }

  /// The targets that an incarnation was sent, in order.
  private func sent(_ hub: FakeHub, to incarnation: Int) -> [String] {
    hub.parcels.filter { $0.header.kind == .call && $0.to == place(incarnation) }.map { parcel in
      String(decoding: parcel.body[16...].prefix(Int(parcel.header.aux)), as: UTF8.self)
    }
  }

  private func reply(_ hub: FakeHub, to target: String, by incarnation: Int) throws {
    let parcel = hub.parcels.last {
      $0.to == place(incarnation)
        && String(decoding: $0.body[16...].prefix(Int($0.header.aux)), as: UTF8.self) == target
    }
    try hub.frame(
      .reply, aux: ReplyKind.nothing, number: #require(parcel).header.number,
      from: place(incarnation))
  }

  private func lose(_ hub: FakeHub, _ incarnation: Int) throws {
    struct Lost: Encodable { var worker: WorkerID, node: NodeID }
    let place = place(incarnation)
    try hub.event(.peerLost, Lost(worker: place.worker, node: place.node))
  }

  private func with(
    _ body: (FakeHub, ActorLine, Ends) async throws -> Void
  ) async throws {
    let hub = try FakeHub()
    let process = try await hub.driver()
    defer { hub.close(process) }
    try await body(hub, process.directory.line(actor), Ends())
  }

  @Test func `calls wait for a place, and go there in their order`() async throws {
    try await with { hub, line, ends in
      try await calls(line, ["a", "b", "c"], ends)
      #expect(sent(hub, to: 1).isEmpty)
      try hub.event(.actor, status(.placed, incarnation: 1, restarts: 0))
      try await eventually { sent(hub, to: 1) == ["a", "b", "c"] }
      for target in ["c", "a", "b"] { try reply(hub, to: target, by: 1) }
      try await eventually {
        ends.all == ["a": ["answered"], "b": ["answered"], "c": ["answered"]]
      }
    }
  }

  @Test func `a place that did not take the actor was none: its calls are made again at the next`()
    async throws
  {
    try await with { hub, line, ends in
      try hub.event(.actor, status(.placed, incarnation: 1, restarts: 0))
      try await calls(line, ["a", "b"], ends)
      try await eventually { sent(hub, to: 1) == ["a", "b"] }
      // The hub there has nobody of that name; a new head places it elsewhere.
      try lose(hub, 1)
      try await calls(line, ["c"], ends)
      try hub.event(.actor, status(.placed, incarnation: 2, restarts: 0))
      try await eventually { sent(hub, to: 2) == ["a", "b", "c"] }
      for target in ["a", "b", "c"] { try reply(hub, to: target, by: 2) }
      try await eventually { ends.all.count == 3 }
      #expect(ends.all.values.allSatisfy { $0 == ["answered"] })
    }
  }

  @Test func `calls that a lost process had fail, or are made again where that is allowed`()
    async throws
  {
    try await with { hub, line, ends in
      try hub.event(.actor, status(.alive, incarnation: 1, restarts: 0))
      try await calls(line, ["once"], ends)
      try await calls(line, ["again"], retries: 1, ends)
      try await eventually { sent(hub, to: 1) == ["once", "again"] }
      try lose(hub, 1)
      try hub.event(.actor, status(.restarting, incarnation: 1, restarts: 1))
      try await eventually { ends.all["once"] == ["\(IorunError.Code.processLost)"] }
      try hub.event(.actor, status(.alive, incarnation: 2, restarts: 1))
      try await eventually { sent(hub, to: 2) == ["again"] }
      // Its second loss is one too many.
      try lose(hub, 2)
      try hub.event(.actor, status(.restarting, incarnation: 2, restarts: 2))
      try await eventually { ends.all["again"] == ["\(IorunError.Code.processLost)"] }
    }
  }

  @Test func `a dead actor fails all calls, those that wait and those that come`() async throws {
    try await with { hub, line, ends in
      try await calls(line, ["a"], retries: -1, ends)
      try hub.event(.actor, status(.alive, incarnation: 1, restarts: 0))
      try await eventually { sent(hub, to: 1) == ["a"] }
      try hub.event(.actor, status(.dead, incarnation: 1, restarts: 0))
      try lose(hub, 1)
      try await eventually { ends.all["a"] != nil }
      call(line, "b", ends)
      try await eventually { ends.all.count == 2 }
      #expect(ends.all.values.allSatisfy { $0 == ["\(IorunError.Code.processLost)"] })
      #expect(line.isDead)
    }
  }

  /// Whatever happens to the actor, every call ends once, and each place is sent calls in their order.
  @Test(arguments: 0..<12 as Range<UInt64>)
  func `every call ends once, in order at each place`(seed: UInt64) async throws {
    try await with { hub, line, ends in
      var generator = SeededGenerator(seed: seed)
      var (incarnation, restarts, made) = (1, 0, 0)
      try hub.event(.actor, status(.placed, incarnation: 1, restarts: 0))
      for _ in 0..<12 {
        let count = Int.random(in: 1...4, using: &generator)
        let targets = (made..<(made + count)).map { "t\($0)" }
        made += count
        try await calls(
          line, targets, retries: Bool.random(using: &generator) ? -1 : 0, ends)
        switch Int.random(in: 0..<4, using: &generator) {
        case 0:
          // Not taken: the next place.
          try lose(hub, incarnation)
          incarnation += 1
          try hub.event(.actor, status(.placed, incarnation: incarnation, restarts: restarts))
        case 1:
          // Lost: it begins anew. The two words come in either order.
          let isLostFirst = Bool.random(using: &generator)
          if isLostFirst { try lose(hub, incarnation) }
          restarts += 1
          try hub.event(.actor, status(.restarting, incarnation: incarnation, restarts: restarts))
          if !isLostFirst { try lose(hub, incarnation) }
          incarnation += 1
          try hub.event(.actor, status(.alive, incarnation: incarnation, restarts: restarts))
        case 2:
          // Some answers.
          for target in sent(hub, to: incarnation) where Bool.random(using: &generator) {
            try reply(hub, to: target, by: incarnation)
          }
        default: break
        }
      }
      // From here on it lives: what is not answered is, by the place where it is now.
      var answered: Set<String> = []
      try await eventually("seed \(seed): \(ends.all.count) of \(made)") {
        for target in sent(hub, to: incarnation) where answered.insert(target).inserted {
          try reply(hub, to: target, by: incarnation)
        }
        return ends.all.count == made
      }
      #expect(ends.all.values.allSatisfy { $0.count == 1 }, "seed \(seed)")
      for place in 1...incarnation {
        let order = sent(hub, to: place).compactMap { Int($0.dropFirst()) }
        #expect(order == order.sorted(), "seed \(seed), place \(place)")
        #expect(Set(order).count == order.count, "seed \(seed), place \(place)")
      }
    }
  }
}
