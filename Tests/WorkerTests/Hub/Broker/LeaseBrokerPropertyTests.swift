import Foundation
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

/// In any order of events nothing is given out twice, lost, or kept from who waits.
struct LeaseBrokerPropertyTests {
  private struct Lease {
    var id: UInt64
    var holder: WorkerID
    var worker: WorkerID
    var resources: ResourceAmounts
    var gpus: [Int]
    var isBlocked = false
  }

  /// More of them, to look for what is rare: `IORUN_TEST_SEEDS=1000 swift test --filter …`.
  private static let seeds: UInt64 =
    ProcessInfo.processInfo.environment["IORUN_TEST_SEEDS"].flatMap { UInt64($0) } ?? 20

  @Test(arguments: 0..<seeds)
  func `any order of events`(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let node = NodeID(high: 1, low: 1)
    let total = try ResourceAmounts(amounts: ["CPU": 8, "GPU": 3, "memory": 100])
    var broker = LeaseBroker(node: node, total: total, gpuCount: 3)
    let job = try #require(JobID("job-aaaaaaaa"))
    let holders = (1...4).map { WorkerID(high: 5, low: $0) }
    let spec = PlacementGroupSpec(
      group: GroupID(high: 3, low: 3), job: job, name: "",
      bundles: [
        try ResourceAmounts(amounts: ["CPU": 2, "GPU": 1]),
        try ResourceAmounts(amounts: ["CPU": 1]),
      ], strategy: .pack, maxRoundTripMilliseconds: nil, labels: [], detached: false)
    let shapes: [[String: Double]] = [
      ["CPU": 1], ["CPU": 3], ["CPU": 0.5, "GPU": 0.25], ["GPU": 1], ["GPU": 2, "CPU": 1],
      ["CPU": 1, "memory": 40], [:],
    ]
    var now = ContinuousClock.now
    var number: UInt64 = 0
    var open: [LeaseBroker.RequestKey: RuntimeDemand] = [:]
    var leases: [UInt64: Lease] = [:]
    var grants: [UInt64] = []
    var stopping: [WorkerID] = []
    var epoch: Int64 = 0

    func take(_ actions: [LeaseBroker.Action]) {
      for action in actions {
        switch action {
        case .needsWorker(let grant, _, _, _): grants.append(grant)
        case .unneeded(let grant): grants.removeAll { $0 == grant }
        case .granted(let key, let lease):
          guard let demand = open.removeValue(forKey: key) else {
            Issue.record("seed \(seed): a grant that nobody asked for, or twice")
            continue
          }
          leases[lease.lease] = Lease(
            id: lease.lease, holder: key.holder, worker: lease.worker, resources: demand.resources,
            gpus: lease.gpus)
        case .refused(let key, _):
          #expect(open.removeValue(forKey: key) != nil, "seed \(seed): answered twice")
        case .workerFree, .recall: break
        case .stop(let worker, _):
          stopping.append(worker)
          stopping.sort { $0.low < $1.low }
        }
      }
    }
    // A dictionary's own order differs from run to run: a seed would not tell what happened.
    func lease(_ random: inout SeededGenerator) -> Lease? {
      leases.keys.sorted().randomElement(using: &random).flatMap { leases[$0] }
    }
    func end(_ worker: WorkerID) {
      leases = leases.filter { $0.value.worker != worker }
      take(broker.processGone(worker, now: now))
    }

    for step in 0..<2000 {
      now += .milliseconds(Int.random(in: 0...20, using: &random))
      switch Int.random(in: 0..<16, using: &random) {
      case 0...4:
        number += 1
        let holder = try #require(holders.randomElement(using: &random))
        let isBundled = Int.random(in: 0..<4, using: &random) == 0
        let demand = RuntimeDemand(
          resources: try ResourceAmounts(
            amounts: try #require(shapes.randomElement(using: &random))),
          bundle: isBundled
            ? .init(group: spec.group, index: .random(in: -1...1, using: &random)) : nil)
        let key = LeaseBroker.RequestKey(holder: holder, number: number)
        open[key] = demand
        take(
          broker.request(
            key, from: ProcessAddress(node: node, worker: holder), job: job, demand: demand,
            waits: Bool.random(using: &random), now: now))
      case 5...7:
        guard let grant = grants.randomElement(using: &random) else { continue }
        grants.removeAll { $0 == grant }
        if Int.random(in: 0..<6, using: &random) == 0 {
          take(broker.attachFailed(grant, IorunError(.spawnFailed, "no worker"), now: now))
        } else {
          take(broker.attach(grant, WorkerID(high: 77, low: grant)))
        }
      case 8, 9:
        guard let lease = lease(&random),
          !stopping.contains(lease.worker)
        else { continue }
        leases[lease.id] = nil
        take(broker.returnLease(lease.id, by: lease.holder, isBroken: false, now: now))
      case 10:
        guard let lease = lease(&random) else { continue }
        leases[lease.id]?.isBlocked = true
        take(broker.blocked(lease.worker, now: now))
      case 11:
        guard let lease = lease(&random) else { continue }
        leases[lease.id]?.isBlocked = false
        broker.unblocked(lease.worker)
      case 12:
        guard
          let key = open.keys.sorted(by: { $0.number < $1.number }).randomElement(using: &random)
        else { continue }
        take(broker.cancel(key, now: now))
      case 13:
        guard let worker = stopping.popLast() ?? lease(&random)?.worker
        else { continue }
        end(worker)
      case 14:
        guard Int.random(in: 0..<10, using: &random) == 0 else { continue }
        let holder = try #require(holders.randomElement(using: &random))
        take(broker.processGone(holder, now: now))
      default:
        epoch += 1
        if broker.groups.isEmpty {
          let reservation = BundleReservation(
            spec: spec, indices: [0, 1], epoch: epoch, commits: true)
          if let actions = try? broker.prepare(reservation, now: now) { take(actions) }
        } else if Int.random(in: 0..<4, using: &random) == 0 {
          let (workers, actions) = broker.release(spec.group, now: now)
          take(actions)
          stopping += workers
          stopping.sort { $0.low < $1.low }
        }
      }
      // No GPU is given out more than once.
      var parts: [Int: Int64] = [:]
      for lease in leases.values {
        let units = lease.resources.units["GPU", default: 0]
        #expect(lease.gpus.count == Int((units + 9999) / 10_000), "seed \(seed), step \(step)")
        for gpu in lease.gpus { parts[gpu, default: 0] += min(units, 10_000) }
      }
      #expect(parts.values.allSatisfy { $0 <= 10_000 }, "seed \(seed), step \(step)")
      // What cannot be lent is never given out beyond what there is.
      let memory = leases.values.reduce(0) { $0 + $1.resources["memory"] }
      #expect(memory <= 100, "seed \(seed), step \(step)")
      // Nobody waits for what is free.
      for (shape, _) in broker.queue.heads where shape.bundle == nil {
        let isFree = broker.available.covers(shape.resources) && shape.resources["GPU"] == 0
        if isFree {
          #expect(
            broker.queue.heads.contains { now - $0.request.since >= .seconds(5) },
            "seed \(seed), step \(step)")
        }
      }
    }
    for worker in stopping { end(worker) }
    for holder in holders {
      take(broker.processGone(holder, now: now))
    }
    for worker in stopping { end(worker) }
    _ = broker.release(spec.group, now: now)
    #expect(broker.available == total, "seed \(seed)")
    #expect(broker.holds.isEmpty, "seed \(seed)")
    #expect(broker.holders.isEmpty, "seed \(seed)")
    #expect(broker.waitingCount == 0, "seed \(seed)")
    #expect(open.isEmpty, "seed \(seed)")
  }
}
