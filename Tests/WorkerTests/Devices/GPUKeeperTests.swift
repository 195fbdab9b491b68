import IorunContract
import IorunCore
import Logging
import Synchronization
import TestSupport
import Testing

@testable import IorunWorker

/// GPUs between the leases of strangers.
@Suite struct GPUKeeperTests {
  /// GPUs whose users and whose clearing a test decides.
  private final class Bench: Sendable {
    struct State {
      var processes: Int? = 0
      /// What the next clearings meet; none: they succeed.
      var faults: [IorunError.Code] = []
      var scrubs: [String] = []
      /// Clearing waits until these are opened.
      var gate: CheckedContinuation<Void, Never>?
      var isGated = false
    }

    let state = Mutex(State())

    func keeper() -> GPUKeeper {
      GPUKeeper(
        .init(
          processes: { _ in self.state.withLock { $0.processes } },
          scrub: { device in
            if self.state.withLock({ $0.isGated }) {
              await withCheckedContinuation { gate in self.state.withLock { $0.gate = gate } }
            }
            let fault = self.state.withLock { state in
              state.scrubs.append(device)
              return state.faults.isEmpty ? nil : state.faults.removeFirst()
            }
            if let fault { throw IorunError(fault, "as the test wants") }
          }), clock: TestClock(), logger: Logger(label: "test"))
    }

    var scrubs: [String] { state.withLock { $0.scrubs } }
  }

  /// Sleeps take no time.
  private struct TestClock: Clock {
    typealias Instant = ContinuousClock.Instant
    var now: Instant { ContinuousClock.now }
    var minimumResolution: Duration { .zero }
    func sleep(until deadline: Instant, tolerance: Duration?) async throws { await Task.yield() }
  }

  private static func lease(_ number: Int) -> LeaseID {
    LeaseID(job: Sample.job, attempt: number, rank: 0)
  }

  @Test func `each lease finds memory that was cleared since the last one`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    // Nobody knows what was there before the agent.
    try await keeper.prepare(["a", "b"], for: Self.lease(1))
    #expect(bench.scrubs == ["a", "b"])
    await keeper.release(Self.lease(1))
    try await keeper.prepare(["a"], for: Self.lease(2))
    #expect(bench.scrubs.sorted() == ["a", "a", "b", "b"])
  }

  @Test func `a GPU is refused where nobody can say who computes on it`() async throws {
    let bench = Bench()
    bench.state.withLock { $0.processes = nil }
    let keeper = bench.keeper()
    let error = await #expect(throws: IorunError.self) {
      try await keeper.prepare(["a"], for: Self.lease(1))
    }
    #expect(error?.code == .gpuFault)
    bench.state.withLock { $0.processes = 0 }
    try await keeper.prepare(["a"], for: Self.lease(1))
  }

  @Test func `a lease that ended twice clears once`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    try await keeper.prepare(["a"], for: Self.lease(1))
    await keeper.release(Self.lease(1))
    try await keeper.prepare(["a"], for: Self.lease(2))
    // It comes late: the next one has the GPU.
    await keeper.release(Self.lease(1))
    #expect(bench.scrubs == ["a", "a"])
  }

  @Test func `a lease waits for the clearing after the last one`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    try await keeper.prepare(["a"], for: Self.lease(1))
    bench.state.withLock { $0.isGated = true }
    await keeper.release(Self.lease(1))
    let isReady = Mutex(false)
    let next = Task {
      try await keeper.prepare(["a"], for: Self.lease(2))
      isReady.withLock { $0 = true }
    }
    while bench.state.withLock({ $0.gate }) == nil { await Task.yield() }
    #expect(!isReady.withLock { $0 })
    bench.state.withLock { state in
      state.isGated = false
      state.gate?.resume()
    }
    try await next.value
    #expect(bench.scrubs == ["a", "a"])
  }

  @Test func `what somebody else computes on is refused`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    try await keeper.prepare(["a"], for: Self.lease(1))
    await keeper.release(Self.lease(1))
    bench.state.withLock { $0.processes = 2 }
    let error = await #expect(throws: IorunError.self) {
      try await keeper.prepare(["a"], for: Self.lease(2))
    }
    #expect(error?.code == .gpuBusy)
    bench.state.withLock { $0.processes = 0 }
    try await keeper.prepare(["a"], for: Self.lease(3))
  }

  @Test func `the last rank's processes are waited for`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    bench.state.withLock { $0.faults = [.gpuBusy, .gpuBusy] }
    try await keeper.prepare(["a"], for: Self.lease(1))
    #expect(bench.scrubs.count == 3)
    bench.state.withLock { $0.faults = Array(repeating: .gpuBusy, count: 100) }
    await keeper.release(Self.lease(1))
    let error = await #expect(throws: IorunError.self) {
      try await keeper.prepare(["a"], for: Self.lease(2))
    }
    #expect(error?.code == .gpuBusy)
  }

  @Test func `memory that cannot be cleared is lent to nobody, and tried again`() async throws {
    let bench = Bench()
    let keeper = bench.keeper()
    bench.state.withLock { $0.faults = [.gpuMissing] }
    let error = await #expect(throws: IorunError.self) {
      try await keeper.prepare(["a"], for: Self.lease(1))
    }
    #expect(error?.code == .gpuFault)
    try await keeper.prepare(["a"], for: Self.lease(2))
  }

  @Test func `a machine without a driver says so`() async throws {
    let machine = GPUKeeper.Machine.own(program: BuiltProgram.path("iorun"))
    guard machine.processes("GPU-none") == nil else { return }
    let error = await #expect(throws: IorunError.self) { try await machine.scrub("GPU-none") }
    #expect(error?.code == .gpuFault && error?.message.contains("IOR-1811") == true)
  }
}
