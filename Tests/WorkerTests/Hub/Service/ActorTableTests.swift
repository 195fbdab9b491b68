import Foundation
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

@Suite struct ActorTableTests {
  private let node = NodeID(high: 1, low: 1)
  private let other = NodeID(high: 2, low: 2)
  private let job = JobID("job-00000000")!

  private func spec(_ number: UInt64) -> RuntimeActorSpec {
    RuntimeActorSpec(
      actor: RuntimeActorID(high: 7, low: number), job: job, name: "", namespace: "",
      className: "Counter", detached: false, demand: RuntimeDemand(resources: ResourceAmounts()),
      maxRestarts: 0, creator: ProcessAddress(node: node, worker: WorkerID(high: 1, low: 1)),
      methods: "", payload: Data())
  }

  private func status(
    _ number: UInt64, _ state: RuntimeActorStatus.State, incarnation: Int = 1,
    on node: NodeID? = nil
  ) -> RuntimeActorStatus {
    var status = RuntimeActorStatus(spec(number), state: state)
    status.incarnation = incarnation
    status.node = node
    return status
  }

  /// A table with one actor in each state, all made here.
  private func table() -> ActorTable {
    var table = ActorTable()
    let all: [RuntimeActorStatus] = [
      status(1, .pending), status(2, .placed, on: node), status(3, .placed, on: other),
      status(4, .alive, on: other), status(5, .restarting), status(6, .dead),
    ]
    for status in all {
      _ = table.take(status)
      table.keep(spec(status.actor.low))
    }
    _ = table.take(status(7, .pending))
    return table
  }

  @Test func aNewHeadIsToldWhatPerhapsNobodyElseKnows() {
    let told = table().knownToHead(besides: node)
    // The last one is somebody else's: its maker's node tells of it.
    #expect(Set(told.map(\.spec.actor.low)) == [1, 3, 5])
    #expect(told.first { $0.spec.actor.low == 3 }?.status.node == other)
  }

  @Test func actorsWithoutAProcessAreListedWhereTheyWereMade() {
    let listed = table().withoutProcess(of: job)
    #expect(Set(listed.map(\.spec.actor.low)) == [1, 5, 6])
    #expect(table().withoutProcess(of: JobID("job-11111111")!).isEmpty)
  }

  /// Whatever order words come in, the last state is that of the newest, and death is for good.
  @Test(arguments: 0..<50 as Range<UInt64>) func newsMayOvertakeEachOther(seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var words: [RuntimeActorStatus] = []
    for incarnation in 1...3 {
      for state in [RuntimeActorStatus.State.placed, .alive, .restarting] {
        words.append(status(1, state, incarnation: incarnation))
      }
    }
    if seed.isMultiple(of: 2) { words.append(status(1, .dead, incarnation: 2)) }
    var table = ActorTable()
    for word in words.shuffled(using: &generator) { _ = table.take(word) }
    let last = table.status(RuntimeActorID(high: 7, low: 1))
    if seed.isMultiple(of: 2) {
      #expect(last?.state == .dead, "seed \(seed)")
    } else {
      #expect(last?.state == .restarting && last?.incarnation == 3, "seed \(seed)")
    }
  }

  @Test func whatNobodyWatchesIsForgotten() {
    var table = ActorTable()
    _ = table.take(status(1, .alive, on: other))
    let actor = RuntimeActorID(high: 7, low: 1)
    table.watch(actor, by: 8)
    table.watch(actor, by: 9)
    table.forget(connection: 8)
    #expect(table.watched == [actor])
    table.forget(connection: 9)
    #expect(table.status(actor) == nil)
  }
}
