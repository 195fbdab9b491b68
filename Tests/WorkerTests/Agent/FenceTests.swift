import Glibc
import IorunContract
import IorunCore
import Synchronization
import TestSupport
import Testing

@testable import IorunWorker

@Suite("Fencing", .timeLimit(.minutes(3)))
struct FenceTests {
  private func orders(fence: Int, stop: [LeaseID] = []) -> NodeOrders {
    NodeOrders(
      name: "n", heartbeatMilliseconds: 10, fenceMilliseconds: fence, stop: stop,
      registerAgain: false)
  }

  @Test("a node whose head is silent for too long stops its ranks and tells it later")
  func silent() async throws {
    let stage = try Stage()
    let grant = Sample.grant("echo $$ > pid; while :; do sleep 1; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    let pid: pid_t = try await eventually("the rank runs") {
      stage.workFile(grant, "pid").flatMap { pid_t($0.dropLast()) }
    }
    await stage.head.setAway(true)
    let fenced = Mutex<[String]>([])
    await stage.agent.attach(fencing: { reason in fenced.withLock { $0.append(reason) } })
    await stage.agent.apply(orders: orders(fence: 200))
    try await eventually("the rank is stopped") { !RealProcesses.isAlive(pid) }
    #expect(fenced.withLock { $0 } == ["the head was out of the node's reach for 0.2 s"])
    await stage.head.setAway(false)
    guard case .nodeLost(let reason) = try await stage.end(grant).cause else {
      Issue.record("ended for another reason")
      return
    }
    #expect(reason.contains("0.2 s"))
  }

  private static let forever = "while :; do sleep 0.05; done"

  /// Moves the clock once the agent waits on it.
  private func pass(_ time: Duration, _ clock: ManualClock) async throws {
    try await eventually("the fence waits") { clock.sleeperCount > 0 }
    clock.advance(by: time)
  }

  @Test("a job's own fence stops its ranks and nobody else's")
  func ownFence() async throws {
    let clock = ManualClock()
    let stage = try Stage(clock: clock)
    var hasty = Sample.grant(Self.forever, rank: 0, ranks: 2)
    hasty.spec.fenceSeconds = 3
    let patient = Sample.grant(
      "while [ ! -e go ]; do sleep 0.05; done", rank: 1, ranks: 2)
    await stage.agent.apply(orders: orders(fence: 30_000))
    for grant in [hasty, patient] {
      _ = try await stage.prepare(grant)
      try await stage.start(grant)
    }
    #expect(await stage.agent.renewEvery == .milliseconds(500))
    try await pass(.milliseconds(2900), clock)
    #expect(await stage.agent.currentReports().allSatisfy { !$0.hasEnded })
    try await pass(.milliseconds(200), clock)
    guard case .nodeLost(let reason) = try await stage.end(hasty).cause else {
      Issue.record("ended for another reason")
      return
    }
    #expect(reason.contains("3.0 s"))
    try stage.folder.write("", to: "leases/\(Sample.job)-1-1/work/go")
    #expect(try await stage.end(patient).cause.isSuccess)
  }

  @Test("a fence counts from the heartbeat that was answered, and other calls renew nothing")
  func strict() async throws {
    let clock = ManualClock()
    let stage = try Stage(clock: clock)
    var grant = Sample.grant(Self.forever)
    grant.spec.fenceSeconds = 3
    await stage.agent.apply(orders: orders(fence: 30_000))
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    // Answered after a second on the way.
    await stage.agent.apply(orders: orders(fence: 30_000), age: .seconds(1))
    try await pass(.milliseconds(1900), clock)
    #expect(await stage.agent.currentReports().allSatisfy { !$0.hasEnded })
    // A head that cannot hear the node counts it as lost, whatever it says itself.
    _ = try await stage.agent.reaches("127.0.0.1", milliseconds: 1, caller: Sample.head)
    try await pass(.milliseconds(200), clock)
    guard case .nodeLost = try await stage.end(grant).cause else {
      Issue.record("ended for another reason")
      return
    }
  }

  @Test("a node that hears from its head does not fence")
  func heard() async throws {
    let clock = ManualClock()
    let stage = try Stage(clock: clock)
    let grant = Sample.grant("while [ ! -e go ]; do sleep 0.01; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    // Heard every 20 ms for three times the fence's length.
    for _ in 0..<45 {
      await stage.agent.apply(orders: orders(fence: 300))
      try await eventually("the fence waits") { clock.sleeperCount == 1 }
      clock.advance(by: .milliseconds(20))
    }
    try stage.folder.write("", to: "leases/\(Sample.job)-1-0/work/go")
    #expect(try await stage.end(grant).cause.isSuccess)
  }

  @Test("leases that the head does not want are stopped and forgotten")
  func unwanted() async throws {
    let stage = try Stage()
    let grant = Sample.grant("while :; do sleep 1; done")
    _ = try await stage.prepare(grant)
    try await stage.start(grant)
    await stage.agent.apply(orders: orders(fence: 60_000, stop: [grant.id, Sample.lease(rank: 5)]))
    try await eventually("it is forgotten") { await stage.agent.currentLeases().isEmpty }
    #expect(await stage.executors.released == [grant.id])
  }
}

extension LeaseReport {
  fileprivate var hasEnded: Bool {
    if case .ended = state { true } else { false }
  }
}
