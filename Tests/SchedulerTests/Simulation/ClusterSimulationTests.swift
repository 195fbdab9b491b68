import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Policies in the simulator")
struct ClusterSimulationTests {
  /// Many small jobs, few wide ones, heavy-tailed lengths, at about the given load.
  private static func trace(_ seed: UInt64, jobs: Int = 200, gpus: Int) throws -> [SimulatedJob] {
    var random = SeededGenerator(seed: seed)
    var now = 0.0
    return try (0..<jobs).map { _ in
      now += Double(Int.random(in: 0...600, using: &random))
      let wide = Int.random(in: 0..<10, using: &random) == 0
      return try SimulatedJob(
        submittedAtSeconds: now,
        runtimeSeconds: Double(1 << Int.random(in: 4...17, using: &random)),
        gpus: wide ? Int.random(in: 2...gpus, using: &random) : 1,
        tenant: Int.random(in: 0..<4, using: &random))
    }
  }

  @Test(
    "every gang gets all its GPUs and no more than there are, and every job ends",
    arguments: ClusterSimulation.Policy.allCases, 1...5)
  func whole(policy: ClusterSimulation.Policy, seed: UInt64) throws {
    let jobs = try Self.trace(seed, gpus: 16)
    var simulation = try ClusterSimulation(
      jobs: jobs, policy: policy, settings: ClusterSimulation.Settings(gpus: 16))
    var faults = 0
    var early = 0
    simulation.events = []
    let result = try simulation.run()
    for event in simulation.events ?? [] {
      switch event {
      case .starts(let job, let free): if jobs[job].gpus > free { faults += 1 }
      case .preempted(_, let ran): if ran < LeaseTerm.committedSeconds { early += 1 }
      }
    }
    #expect(faults == 0)
    #expect(early == 0, "a committed hour was taken back")
    #expect(result.finished == jobs.count && result.refused == 0)
    #expect(simulation.freeGPUs == 16 && simulation.running.isEmpty)
    #expect(simulation.queue.count == 0 && simulation.line.isEmpty)
    for (job, state) in zip(simulation.jobs, simulation.states) {
      let end = try #require(state.endedAtSeconds)
      #expect(end >= job.submittedAtSeconds + job.runtimeSeconds)
    }
    if policy != .ours { #expect(result.preemptions == 0) }
  }

  @Test("ours takes leases back, and where it may not it takes none")
  func preempts() throws {
    let jobs = try Self.trace(7, gpus: 16)
    var settings = ClusterSimulation.Settings(gpus: 16)
    var simulation = try ClusterSimulation(jobs: jobs, policy: .ours, settings: settings)
    #expect(try simulation.run().preemptions > 0)
    settings.preempts = false
    simulation = try ClusterSimulation(jobs: jobs, policy: .ours, settings: settings)
    #expect(try simulation.run().preemptions == 0)
  }

  @Test("the same trace gives the same answer")
  func deterministic() throws {
    let jobs = try Self.trace(3, gpus: 16)
    let settings = ClusterSimulation.Settings(gpus: 16)
    var first = try ClusterSimulation(jobs: jobs, policy: .ours, settings: settings)
    var second = first
    #expect(try first.run() == second.run())
  }

  @Test(
    "arrivals that go back in time are taken in the order of their times",
    arguments: ClusterSimulation.Policy.allCases)
  func backwards(policy: ClusterSimulation.Policy) throws {
    // Equal arrivals keep the order of the list, so there are none here.
    var jobs = try Self.trace(5, gpus: 16)
    for index in jobs.indices {
      jobs[index].submittedAtSeconds += Double(index) / 1024
    }
    let settings = ClusterSimulation.Settings(gpus: 16)
    var forwards = try ClusterSimulation(jobs: jobs, policy: policy, settings: settings)
    var backwards = try ClusterSimulation(
      jobs: jobs.reversed(), policy: policy, settings: settings)
    backwards.events = []
    let result = try backwards.run()
    #expect(try forwards.run() == result)
    for (job, state) in zip(backwards.jobs, backwards.states) {
      #expect(try #require(state.endedAtSeconds) >= job.submittedAtSeconds + job.runtimeSeconds)
    }
    for time in [-1, -Double.infinity, .infinity, .nan] {
      #expect(throws: IorunError.self) {
        try SimulatedJob(submittedAtSeconds: time, runtimeSeconds: 1, gpus: 1, tenant: 0)
      }
    }
  }

  @Test("with EASY the first that waits starts no later than without those that went past it")
  func easyDelaysNobody() throws {
    let jobs = [
      try SimulatedJob(submittedAtSeconds: 0, runtimeSeconds: 100, gpus: 3, tenant: 0),
      try SimulatedJob(submittedAtSeconds: 1, runtimeSeconds: 50, gpus: 4, tenant: 0),
      try SimulatedJob(submittedAtSeconds: 2, runtimeSeconds: 98, gpus: 1, tenant: 0),
      try SimulatedJob(submittedAtSeconds: 3, runtimeSeconds: 99, gpus: 1, tenant: 0),
    ]
    var simulation = try ClusterSimulation(
      jobs: jobs, policy: .easy, settings: ClusterSimulation.Settings(gpus: 4))
    _ = try simulation.run()
    #expect(simulation.states.map(\.endedAtSeconds) == [100, 150, 100, 249])
  }

  @Test("two tenants that always want all get equal parts, and 2 to 1 by weight")
  func sharesConverge() throws {
    for weight in [1.0, 2.0] {
      var jobs: [SimulatedJob] = []
      for index in 0..<2000 {
        for tenant in 0..<2 {
          jobs.append(
            try SimulatedJob(
              submittedAtSeconds: Double(index) / 1000, runtimeSeconds: 600, gpus: 1,
              tenant: tenant))
        }
      }
      var simulation = try ClusterSimulation(
        jobs: jobs, policy: .ours, settings: ClusterSimulation.Settings(gpus: 12))
      try simulation.shares.setWeight(weight, of: 0)
      _ = try simulation.run()
      // Within the first day nobody has waited long enough to go first for it.
      let served = zip(simulation.jobs, simulation.states).filter {
        ($0.1.endedAtSeconds ?? .infinity) < 80_000
      }
      let first = Double(served.count { $0.0.tenant == 0 })
      let second = Double(served.count { $0.0.tenant == 1 })
      #expect(abs(first / second - weight) < 0.15 * weight)
    }
  }

  @Test("a wide gang among endless small jobs starts within the bound")
  func noStarvation() throws {
    var jobs = [try SimulatedJob(submittedAtSeconds: 10, runtimeSeconds: 60, gpus: 8, tenant: 0)]
    for index in 0..<5000 {
      jobs.append(
        try SimulatedJob(
          submittedAtSeconds: Double(index * 50), runtimeSeconds: 500, gpus: 1, tenant: 1))
    }
    var simulation = try ClusterSimulation(
      jobs: jobs, policy: .ours, settings: ClusterSimulation.Settings(gpus: 8))
    _ = try simulation.run()
    let end = zip(simulation.jobs, simulation.states).first { $0.0.gpus == 8 }?.1.endedAtSeconds
    #expect(try #require(end) < 86_400)
  }

  @Test("jobs and clusters that cannot be are refused; a job that never fits is counted")
  func hostile() throws {
    for bad in [-1, Double.nan, .infinity] {
      #expect(throws: IorunError.self) {
        try SimulatedJob(submittedAtSeconds: bad, runtimeSeconds: 1, gpus: 1, tenant: 0)
      }
      #expect(throws: IorunError.self) {
        try SimulatedJob(submittedAtSeconds: 1, runtimeSeconds: bad, gpus: 1, tenant: 0)
      }
    }
    #expect(throws: IorunError.self) {
      try SimulatedJob(submittedAtSeconds: 1, runtimeSeconds: 1, gpus: 0, tenant: 0)
    }
    #expect(throws: IorunError.self) {
      try ClusterSimulation(jobs: [], policy: .ours, settings: .init(gpus: 0))
    }
    let wide = try SimulatedJob(submittedAtSeconds: 0, runtimeSeconds: 1, gpus: 9, tenant: 0)
    var simulation = try ClusterSimulation(
      jobs: [wide], policy: .ours, settings: .init(gpus: 8))
    let result = try simulation.run()
    #expect(result.refused == 1 && result.finished == 0)
  }
}
