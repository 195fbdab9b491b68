import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

/// Which worker runs for whom, and how long it is kept.
struct WorkerPoolTests {
  private let start = ContinuousClock.now
  private let loss = ProcessLoss(.spawnFailed, "it did not start")

  private func kind(_ environment: String = "", job: String = "job-aaaaaaaa") throws
    -> WorkerPool.Kind
  {
    WorkerPool.Kind(job: try #require(JobID(job)), environment: environment)
  }

  private func pool(warm: Int = 2, workersOfJob: Int = 4096) -> WorkerPool {
    WorkerPool(
      settings: .init(warmWorkers: warm, workersOfJob: workersOfJob),
      generator: SeededGenerator(seed: 1))
  }

  private func forks(_ actions: [WorkerPool.Action]) -> [WorkerID] {
    actions.compactMap { if case .fork(let worker, _) = $0 { worker } else { nil } }
  }

  private func kills(_ actions: [WorkerPool.Action]) -> [WorkerID] {
    actions.compactMap { if case .kill(let worker, _) = $0 { worker } else { nil } }
  }

  private func attached(_ actions: [WorkerPool.Action]) -> [UInt64: WorkerID] {
    var found: [UInt64: WorkerID] = [:]
    for case .attach(let grant, let worker) in actions { found[grant] = worker }
    return found
  }

  private func failed(_ actions: [WorkerPool.Action]) -> [UInt64] {
    actions.compactMap { if case .failed(let grant, _) = $0 { grant } else { nil } }
  }

  @Test func `a worker is started for who waits, and is used again when it comes back`() throws {
    var pool = pool()
    let worker = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    pool.forked(worker, now: start)
    #expect(attached(pool.arrived(worker, now: start)) == [1: worker])
    #expect(pool.giveBack(worker, isBroken: false, now: start).isEmpty)
    #expect(pool.giveBack(worker, isBroken: false, now: start).isEmpty, "twice")
    #expect(attached(pool.want(2, try kind(), hasDevices: false)) == [2: worker])
    #expect(
      forks(pool.want(3, try kind("other"), hasDevices: false)).count == 1, "another environment")
    #expect(pool.count == 2)
  }

  @Test func `a retired worker goes to nobody, and ends with its job`() throws {
    var pool = pool()
    let first = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    let second = try #require(forks(pool.want(2, try kind(), hasDevices: false)).first)
    for worker in [first, second] { _ = pool.arrived(worker, now: start) }
    pool.retire(first)
    #expect(pool.giveBack(first, isBroken: false, now: start).isEmpty)
    _ = pool.giveBack(second, isBroken: false, now: start)
    pool.retire(second)
    let others = forks(pool.want(3, try kind(), hasDevices: false))
    #expect(others.count == 1 && !others.contains(first) && !others.contains(second))
    #expect(kills(pool.tick(start + .seconds(100_000))).isEmpty)
    #expect(Set(kills(pool.jobOver(try kind().job, loss))).isSuperset(of: [first, second]))
  }

  @Test func `a worker that comes back goes to who waits, before another is there`() throws {
    var pool = pool()
    let first = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    _ = pool.arrived(first, now: start)
    let second = try #require(forks(pool.want(2, try kind(), hasDevices: false)).first)
    #expect(attached(pool.giveBack(first, isBroken: false, now: start)) == [2: first])
    #expect(attached(pool.arrived(second, now: start)).isEmpty)
    #expect(pool.idleCount == 1)
  }

  @Test func `who is given GPUs gets a worker in which nothing has run`() throws {
    var pool = pool()
    let used = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    _ = pool.arrived(used, now: start)
    _ = pool.giveBack(used, isBroken: false, now: start)
    let fresh = try #require(forks(pool.want(2, try kind(), hasDevices: true)).first)
    // It serves others meanwhile, also those that came later.
    #expect(attached(pool.want(3, try kind(), hasDevices: false)) == [3: used])
    #expect(forks(pool.want(4, try kind(), hasDevices: false)).count == 1)
    #expect(attached(pool.giveBack(used, isBroken: false, now: start)) == [4: used])
    #expect(attached(pool.arrived(fresh, now: start)) == [2: fresh])
    #expect(kills(pool.giveBack(fresh, isBroken: false, now: start)) == [fresh])
    // One that was started ahead of need will do.
    let ready = try #require(forks(pool.prestart(try kind("other"), count: 1)).first)
    _ = pool.arrived(ready, now: start)
    #expect(attached(pool.want(5, try kind("other"), hasDevices: true)) == [5: ready])
  }

  @Test func `a worker that is broken or has had GPUs is not used again`() throws {
    var pool = pool()
    let first = try #require(forks(pool.want(1, try kind(), hasDevices: true)).first)
    _ = pool.arrived(first, now: start)
    #expect(kills(pool.giveBack(first, isBroken: false, now: start)) == [first])
    let second = try #require(forks(pool.want(2, try kind(), hasDevices: false)).first)
    _ = pool.arrived(second, now: start)
    #expect(kills(pool.giveBack(second, isBroken: true, now: start)) == [second])
    _ = pool.gone(first, loss)
    _ = pool.gone(second, loss)
    #expect(pool.count == 0)
  }

  @Test func `few are started at the same time, and never more than a job may have`() throws {
    var pool = pool(workersOfJob: 6)
    var starting: [WorkerID] = []
    for grant in 1...10 {
      starting += forks(pool.want(UInt64(grant), try kind(), hasDevices: false))
    }
    #expect(starting.count == 4)
    var leased: [WorkerID] = []
    while let worker = starting.popLast() {
      let actions = pool.arrived(worker, now: start)
      leased += attached(actions).values
      starting += forks(actions)
    }
    #expect(leased.count == 6)
    #expect(attached(pool.giveBack(leased[0], isBroken: false, now: start)).count == 1)
    #expect(forks(pool.gone(leased[1], loss)).count == 1, "there is room for another one")
  }

  @Test func `workers are started ahead of need`() throws {
    var pool = pool()
    let ahead = forks(pool.prestart(try kind(), count: 2))
    #expect(ahead.count == 2)
    #expect(forks(pool.want(1, try kind(), hasDevices: false)).isEmpty, "one is on its way")
    #expect(attached(pool.arrived(ahead[0], now: start)) == [1: ahead[0]])
    #expect(forks(pool.arrived(ahead[1], now: start)).isEmpty)
    #expect(pool.idleCount == 1)
    #expect(forks(pool.prestart(try kind(), count: 1)).isEmpty)
  }

  @Test func `who waits for workers that do not start is told after a few tries`() throws {
    var pool = pool()
    var worker = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    _ = pool.want(2, try kind(), hasDevices: false)
    for _ in 0..<2 {
      let actions = pool.gone(worker, loss)
      #expect(failed(actions).isEmpty)
      worker = try #require(forks(actions).first)
    }
    #expect(failed(pool.gone(worker, loss)) == [1, 2])
    #expect(forks(pool.want(3, try kind(), hasDevices: false)).count <= 1)
  }

  @Test func `an environment that cannot be built fails all who wait for it, and no others`() throws
  {
    var pool = pool()
    _ = pool.want(1, try kind("broken"), hasDevices: false)
    let plain = try #require(forks(pool.want(2, try kind(), hasDevices: false)).first)
    #expect(failed(pool.failed(try kind("broken"), loss)) == [1])
    #expect(pool.count == 1)
    #expect(attached(pool.arrived(plain, now: start)) == [2: plain])
  }

  @Test func `a grant that is dropped leaves its worker for others`() throws {
    var pool = pool()
    let worker = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    pool.drop(1)
    #expect(attached(pool.arrived(worker, now: start)).isEmpty)
    #expect(attached(pool.want(2, try kind(), hasDevices: false)) == [2: worker])
  }

  @Test func `idle workers are kept for a while, those beyond the warm ones shortly`() throws {
    var pool = pool(warm: 1)
    var workers: [WorkerID] = []
    for grant in 1...3 {
      workers += forks(pool.want(UInt64(grant), try kind(), hasDevices: false))
    }
    for worker in workers { _ = pool.arrived(worker, now: start) }
    for (place, worker) in workers.enumerated() {
      _ = pool.giveBack(worker, isBroken: false, now: start + .milliseconds(place))
    }
    #expect(kills(pool.tick(start + .seconds(1))).isEmpty)
    #expect(kills(pool.tick(start + .seconds(3))) == Array(workers.prefix(2)), "the longest idle")
    #expect(kills(pool.tick(start + .seconds(59))).isEmpty)
    #expect(kills(pool.tick(start + .seconds(61))) == [workers[2]])
  }

  @Test func `a worker that does not say hello is ended and counted`() throws {
    var pool = pool()
    let worker = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    #expect(kills(pool.tick(start + .seconds(600))).isEmpty, "its environment is being built")
    pool.forked(worker, now: start)
    #expect(kills(pool.tick(start + .seconds(61))) == [worker])
    #expect(forks(pool.gone(worker, loss)).count == 1)
  }

  @Test func `the end of a job ends its workers and nobody else's`() throws {
    var pool = pool()
    let mine = try #require(forks(pool.want(1, try kind(), hasDevices: false)).first)
    let other = try #require(
      forks(pool.want(2, try kind(job: "job-bbbbbbbb"), hasDevices: false)).first)
    let actions = pool.jobOver(try kind().job, loss)
    #expect(kills(actions) == [mine])
    #expect(failed(actions) == [1])
    #expect(attached(pool.arrived(mine, now: start)).isEmpty)
    #expect(pool.gone(mine, loss).isEmpty)
    #expect(attached(pool.arrived(other, now: start)) == [2: other])
    #expect(pool.count == 1)
  }

  @Test(arguments: 0..<20 as Range<UInt64>)
  func `in any order of events every grant is answered once and every worker has one place`(
    seed: UInt64
  ) throws {
    var random = SeededGenerator(seed: seed)
    var pool = pool(workersOfJob: 12)
    let kinds = [try kind(), try kind("a"), try kind(job: "job-bbbbbbbb")]
    var now = start
    var waiting: [UInt64: WorkerPool.Kind] = [:]
    var leased: [WorkerID: WorkerPool.Kind] = [:]
    var starting: [WorkerID: WorkerPool.Kind] = [:]
    var kindOf: [WorkerID: WorkerPool.Kind] = [:]
    var ending: [WorkerID] = []
    var grant: UInt64 = 0
    func take(_ actions: [WorkerPool.Action]) {
      for action in actions {
        switch action {
        case .fork(let worker, let kind):
          starting[worker] = kind
          kindOf[worker] = kind
        case .kill(let worker, _):
          starting[worker] = nil
          ending.append(worker)
        case .attach(let grant, let worker):
          let kind = waiting.removeValue(forKey: grant)
          #expect(kind == kindOf[worker], "seed \(seed): of another kind, or twice")
          #expect(leased.updateValue(kindOf[worker]!, forKey: worker) == nil, "seed \(seed)")
        case .failed(let grant, _):
          #expect(waiting.removeValue(forKey: grant) != nil, "seed \(seed): answered twice")
        }
      }
    }
    for _ in 0..<2000 {
      now += .milliseconds(Int.random(in: 0...300, using: &random))
      switch Int.random(in: 0..<10, using: &random) {
      case 0...2:
        grant += 1
        let kind = try #require(kinds.randomElement(using: &random))
        waiting[grant] = kind
        take(pool.want(grant, kind, hasDevices: Bool.random(using: &random)))
      case 3, 4:
        guard let worker = starting.keys.randomElement(using: &random) else { continue }
        starting[worker] = nil
        take(pool.arrived(worker, now: now))
      case 5, 6:
        guard let worker = leased.keys.randomElement(using: &random) else { continue }
        leased[worker] = nil
        take(
          pool.giveBack(
            worker, isBroken: Int.random(in: 0..<5, using: &random) == 0, now: now))
      case 7:
        guard let worker = ending.popLast() ?? starting.keys.randomElement(using: &random) else {
          continue
        }
        starting[worker] = nil
        take(pool.gone(worker, loss))
      case 8:
        take(pool.tick(now))
      default:
        guard let number = waiting.keys.randomElement(using: &random) else { continue }
        waiting[number] = nil
        pool.drop(number)
      }
      #expect(pool.count <= 24, "seed \(seed)")
      #expect(
        pool.count == starting.count + leased.count + ending.count + pool.idleCount,
        "seed \(seed)")
    }
    // Whoever waits gets a worker in the end.
    while !waiting.isEmpty {
      if let worker = starting.keys.first {
        starting[worker] = nil
        take(pool.arrived(worker, now: now))
      } else if let worker = leased.keys.first {
        leased[worker] = nil
        take(pool.giveBack(worker, isBroken: false, now: now))
      } else if let worker = ending.popLast() {
        take(pool.gone(worker, loss))
      } else {
        Issue.record("seed \(seed): \(waiting.count) wait for ever")
        break
      }
    }
  }
}
