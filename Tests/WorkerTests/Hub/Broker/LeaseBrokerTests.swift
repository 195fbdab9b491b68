import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunWorker

/// Who gets what of a node, and when.
struct LeaseBrokerTests {
  private let start = ContinuousClock.now
  private let node = NodeID(high: 1, low: 1)
  private let anna = WorkerID(high: 1, low: 1)
  private let bert = WorkerID(high: 2, low: 2)

  private func worker(_ number: UInt64) -> WorkerID { WorkerID(high: 9, low: number) }

  private func amounts(_ amounts: [String: Double]) throws -> ResourceAmounts {
    try ResourceAmounts(amounts: amounts)
  }

  private func broker(_ total: [String: Double], gpus: Int = 0) throws -> LeaseBroker {
    LeaseBroker(node: node, total: try amounts(total), gpuCount: gpus)
  }

  private func demand(
    _ resources: [String: Double], placement: [String: Double]? = nil,
    bundle: RuntimeDemand.Bundle? = nil
  ) throws -> RuntimeDemand {
    RuntimeDemand(
      resources: try amounts(resources), placement: try placement.map(amounts), bundle: bundle)
  }

  /// Asks, and gives the grant a worker of the same number where there is one. Returns a story.
  private func ask(
    _ broker: inout LeaseBroker, _ number: UInt64, by holder: WorkerID,
    _ resources: [String: Double],
    bundle: RuntimeDemand.Bundle? = nil, after: Duration = .zero, waits: Bool = true
  ) throws -> [String] {
    let actions = broker.request(
      .init(holder: holder, number: number), from: ProcessAddress(node: node, worker: holder),
      job: try #require(JobID("job-aaaaaaaa")), demand: try demand(resources, bundle: bundle),
      waits: waits, now: start + after)
    return tell(&broker, actions)
  }

  private func tell(_ broker: inout LeaseBroker, _ actions: [LeaseBroker.Action]) -> [String] {
    actions.flatMap { action -> [String] in
      switch action {
      case .needsWorker(let grant, _, _, _):
        tell(&broker, broker.attach(grant, worker(grant)))
      case .unneeded(let grant): ["unneeded \(grant)"]
      case .granted(let key, let lease):
        [
          "granted \(key.number)" + (lease.gpus.isEmpty ? "" : " on \(lease.gpus)")
            + (lease.bundle.map { " in \($0)" } ?? "")
        ]
      case .refused(let key, let error):
        ["refused \(key.number): \((error as? IorunError)?.code.description ?? "?")"]
      case .workerFree(let worker, let isBroken): ["free \(worker.low)" + (isBroken ? " !" : "")]
      case .stop(let worker, _): ["stop \(worker.low)"]
      case .recall(let holder, let sole):
        ["recall \(holder.worker.high)" + (sole == holder ? ", its own" : "")]
      }
    }
  }

  private func giveBack(
    _ broker: inout LeaseBroker, _ lease: UInt64, by holder: WorkerID, isBroken: Bool = false,
    after: Duration = .zero
  ) -> [String] {
    tell(
      &broker, broker.returnLease(lease, by: holder, isBroken: isBroken, now: start + after))
  }

  // MARK: Leases

  @Test func `what fits is granted at once, the rest in turn`() throws {
    var broker = try broker(["CPU": 1])
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1]) == ["granted 1"])
    #expect(try ask(&broker, 2, by: bert, ["CPU": 1]) == ["recall 1"])
    #expect(try ask(&broker, 3, by: anna, ["CPU": 1]) == [], "no second recall at once")
    #expect(broker.waitingCount == 2)
    #expect(giveBack(&broker, 1, by: bert) == [], "it is not his to give back")
    #expect(giveBack(&broker, 1, by: anna) == ["free 1", "granted 2"])
    #expect(giveBack(&broker, 1, by: anna) == [], "it was given back already")
    #expect(giveBack(&broker, 2, by: bert, isBroken: true) == ["free 2 !", "granted 3"])
    #expect(giveBack(&broker, 3, by: anna) == ["free 3"])
    #expect(broker.available == (try amounts(["CPU": 1])))
  }

  @Test func `who asks for what no node has hears it at once, with the nearest miss`() throws {
    var broker = try broker(["CPU": 2])
    let actions = broker.request(
      .init(holder: anna, number: 1), from: ProcessAddress(node: node, worker: anna),
      job: try #require(JobID("job-aaaaaaaa")), demand: try demand(["CPU": 3]), now: start)
    guard case .refused(_, let error) = actions.first else {
      Issue.record("it was not refused")
      return
    }
    #expect((error as? IorunError)?.code == .noPlacement)
    #expect((error as? IorunError)?.message.contains("3 CPU of 2") == true)
    #expect(try ask(&broker, 2, by: anna, ["tpu": 0.5]) == ["refused 2: IOR-1303"])
  }

  @Test func `who does not want to wait is refused`() throws {
    var broker = try broker(["CPU": 1])
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1], waits: false) == ["granted 1"])
    #expect(try ask(&broker, 2, by: anna, ["CPU": 1], waits: false) == ["refused 2: IOR-1106"])
  }

  @Test func `a request that is taken back is answered, and its grant too`() throws {
    var broker = try broker(["CPU": 1])
    let key = LeaseBroker.RequestKey(holder: anna, number: 1)
    let job = try #require(JobID("job-aaaaaaaa"))
    let address = ProcessAddress(node: node, worker: anna)
    let one = try demand(["CPU": 1])
    let actions = broker.request(key, from: address, job: job, demand: one, now: start)
    guard case .needsWorker(let grant, job, "", let devices) = actions.first, devices.isEmpty else {
      Issue.record("no worker was asked for")
      return
    }
    #expect(try ask(&broker, 2, by: bert, ["CPU": 1]) == ["recall 1"])
    #expect(
      tell(&broker, broker.cancel(.init(holder: bert, number: 2), now: start))
        == ["refused 2: IOR-1204"])
    #expect(
      tell(&broker, broker.cancel(key, now: start)) == ["unneeded 1", "refused 1: IOR-1204"])
    #expect(tell(&broker, broker.attach(grant, worker(1))) == ["free 1"], "it came too late")
    #expect(broker.available == (try amounts(["CPU": 1])))
  }

  @Test func `small requests pass a large one, until it has waited too long`() throws {
    var broker = try broker(["CPU": 2])
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1]) == ["granted 1"])
    #expect(try ask(&broker, 2, by: bert, ["CPU": 2]) == ["recall 1"])
    #expect(try ask(&broker, 3, by: anna, ["CPU": 1], after: .seconds(1)) == ["granted 3"])
    #expect(giveBack(&broker, 2, by: anna, after: .seconds(6)).first == "free 2")
    #expect(
      try ask(&broker, 4, by: anna, ["CPU": 1], after: .seconds(6)).contains("granted 4") == false)
    #expect(try ask(&broker, 5, by: anna, [:], after: .seconds(6)) == ["granted 5"], "takes no CPU")
    #expect(giveBack(&broker, 1, by: anna, after: .seconds(6)) == ["free 1", "granted 2"])
  }

  @Test func `holders are asked again for idle leases, ever more slowly`() throws {
    var broker = try broker(["CPU": 1])
    _ = try ask(&broker, 1, by: anna, ["CPU": 1])
    #expect(broker.nextTick == nil)
    _ = try ask(&broker, 2, by: bert, ["CPU": 1])
    var pauses: [Duration] = []
    var last = start
    for _ in 0..<7 {
      let next = try #require(broker.nextTick)
      pauses.append(next - last)
      #expect(tell(&broker, broker.tick(next - .milliseconds(1))) == [])
      #expect(tell(&broker, broker.tick(next)) == ["recall 1"])
      last = next
    }
    #expect(pauses == [50, 100, 200, 400, 800, 1000, 1000].map { .milliseconds($0) })
  }

  // MARK: GPUs

  @Test func `whole GPUs are distinct, parts share one, and best where least is left`() throws {
    var broker = try broker(["CPU": 8, "GPU": 3], gpus: 3)
    #expect(try ask(&broker, 1, by: anna, ["GPU": 0.5]) == ["granted 1 on [0]"])
    #expect(try ask(&broker, 2, by: anna, ["GPU": 1]) == ["granted 2 on [1]"])
    #expect(try ask(&broker, 3, by: anna, ["GPU": 0.25]) == ["granted 3 on [0]"])
    #expect(try ask(&broker, 4, by: anna, ["GPU": 0.5]) == ["granted 4 on [2]"])
    #expect(
      try ask(&broker, 5, by: anna, ["GPU": 1]) == ["recall 1, its own"],
      "0.75 in all, on no one GPU")
    #expect(broker.available["GPU"] == 0.75)
    #expect(giveBack(&broker, 4, by: anna) == ["free 4", "granted 5 on [2]"])
    #expect(try ask(&broker, 6, by: anna, ["GPU": 1.5]) == ["refused 6: IOR-1303"])
  }

  @Test func `ranks of gangs and leases do not use the same GPU`() throws {
    var broker = try broker(["CPU": 4, "GPU": 2], gpus: 2)
    try broker.reserve("rank", try amounts(["CPU": 3, "GPU": 1]), gpus: [0])
    try broker.reserve("rank", try amounts(["CPU": 3, "GPU": 1]), gpus: [0])
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1, "GPU": 1]) == ["granted 1 on [1]"])
    #expect(try ask(&broker, 2, by: anna, ["CPU": 1]) == ["recall 1, its own"])
    let error = #expect(throws: IorunError.self) {
      try broker.reserve("other", try amounts(["GPU": 1]), gpus: [1])
    }
    #expect(error?.code == .wrongState)
    #expect(tell(&broker, broker.unreserve("rank", now: start)) == ["granted 2"])
    #expect(broker.available == (try amounts(["CPU": 2, "GPU": 1])))
  }

  // MARK: Lending

  @Test func `a task that waits lends its CPU, and gets it back`() throws {
    var broker = try broker(["CPU": 1, "GPU": 1], gpus: 1)
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1, "GPU": 1]) == ["granted 1 on [0]"])
    #expect(try ask(&broker, 2, by: anna, ["CPU": 1]) == ["recall 1, its own"])
    #expect(try ask(&broker, 3, by: anna, ["GPU": 1]) == [])
    #expect(tell(&broker, broker.blocked(worker(1), now: start)) == ["granted 2"])
    #expect(broker.blocked(worker(1), now: start).isEmpty, "it has lent it already")
    broker.unblocked(worker(1))
    broker.unblocked(worker(1))
    #expect(broker.available == ResourceAmounts(), "one too many runs")
    #expect(try ask(&broker, 4, by: anna, ["CPU": 1]) == [])
    #expect(giveBack(&broker, 2, by: anna) == ["free 2"], "that pays it back")
    #expect(giveBack(&broker, 1, by: anna) == ["free 1", "granted 3 on [0]", "granted 4"])
  }

  @Test func `a worker that ends while it waits gives back once`() throws {
    var broker = try broker(["CPU": 1])
    _ = try ask(&broker, 1, by: anna, ["CPU": 1])
    _ = broker.blocked(worker(1), now: start)
    #expect(try ask(&broker, 2, by: anna, ["CPU": 1]) == ["granted 2"])
    _ = broker.processGone(worker(1), now: start)
    #expect(broker.available == ResourceAmounts())
    #expect(giveBack(&broker, 2, by: anna) == ["free 2"])
    #expect(broker.available == (try amounts(["CPU": 1])))
  }

  @Test func `what a retired worker held is free, once, though it stays`() throws {
    var broker = try broker(["CPU": 1, "GPU": 1], gpus: 1)
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1, "GPU": 1]) == ["granted 1 on [0]"])
    #expect(try ask(&broker, 2, by: anna, ["CPU": 1, "GPU": 1]) == ["recall 1, its own"])
    _ = broker.blocked(worker(1), now: start)
    #expect(tell(&broker, broker.retire(worker(1), now: start)) == ["granted 2 on [0]"])
    #expect(broker.retire(worker(1), now: start).isEmpty)
    #expect(giveBack(&broker, 1, by: anna) == [], "there is nothing left to give back")
    _ = broker.processGone(worker(1), now: start)
    #expect(giveBack(&broker, 2, by: anna) == ["free 2"])
    #expect(broker.available == (try amounts(["CPU": 1, "GPU": 1])))
    let actor = try broker.hold(worker(9), try demand(["CPU": 1]))
    #expect(broker.retire(worker(9), now: start).isEmpty, "an actor keeps what it holds")
    let whole = try amounts(["GPU": 1])
    #expect(actor.devices.isEmpty && broker.available == whole)
  }

  // MARK: Actors

  @Test func `an actor needs more to be placed than it keeps`() throws {
    var broker = try broker(["CPU": 1, "GPU": 1], gpus: 1)
    let wish = try demand(["GPU": 0.5], placement: ["CPU": 1])
    let (hold, devices, bundle) = try broker.hold(worker(7), wish)
    #expect(devices.gpus == [0])
    #expect(bundle == nil)
    let error = #expect(throws: IorunError.self) { try broker.hold(worker(8), wish) }
    #expect(error?.code == .overloaded)
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1]) == [])
    #expect(tell(&broker, broker.started(hold, now: start)) == ["granted 1"])
    #expect(broker.started(hold, now: start).isEmpty)
    #expect(broker.available == (try amounts(["GPU": 0.5])))
    _ = broker.processGone(worker(7), now: start)
    #expect(broker.available == (try amounts(["GPU": 1])))
  }

  // MARK: Ends

  @Test func `a lease whose holder is gone ends its worker, and is free when that is gone`() throws
  {
    var broker = try broker(["CPU": 2])
    _ = try ask(&broker, 1, by: anna, ["CPU": 1])
    _ = broker.request(
      .init(holder: anna, number: 2), from: ProcessAddress(node: node, worker: anna),
      job: try #require(JobID("job-aaaaaaaa")), demand: try demand(["CPU": 1]), now: start)
    _ = try ask(&broker, 3, by: anna, ["CPU": 1])
    #expect(try ask(&broker, 4, by: bert, ["CPU": 1]) == [])
    #expect(try ask(&broker, 5, by: bert, ["CPU": 1]) == [])
    #expect(
      tell(&broker, broker.processGone(anna, now: start)).sorted()
        == ["granted 4", "refused 2: IOR-1204", "refused 3: IOR-1204", "stop 1", "unneeded 2"])
    #expect(giveBack(&broker, 1, by: anna) == [], "she is gone")
    #expect(tell(&broker, broker.processGone(worker(1), now: start)) == ["granted 5"])
    #expect(broker.waitingCount == 0)
  }

  // MARK: Bundles

  private func group(_ bundles: [[String: Double]]) throws -> PlacementGroupSpec {
    PlacementGroupSpec(
      group: GroupID(high: 3, low: 3), job: try #require(JobID("job-aaaaaaaa")), name: "",
      bundles: try bundles.map(amounts), strategy: .pack, maxRoundTripMilliseconds: nil, labels: [],
      detached: false)
  }

  private func place(_ index: Int) -> RuntimeDemand.Bundle {
    RuntimeDemand.Bundle(group: GroupID(high: 3, low: 3), index: index)
  }

  @Test func `a bundle's resources are for its tasks alone, once it is committed`() throws {
    var broker = try broker(["CPU": 4, "GPU": 2], gpus: 2)
    let spec = try group([["CPU": 1], ["CPU": 2, "GPU": 1]])
    _ = try broker.prepare(
      BundleReservation(spec: spec, indices: [0, 1], epoch: 1, commits: false), now: start)
    #expect(broker.available == (try amounts(["CPU": 1, "GPU": 1])))
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1], bundle: place(1)) == [], "not committed")
    #expect(
      tell(&broker, try broker.commit(spec.group, epoch: 1, now: start)) == ["granted 1 in 1"])
    #expect(
      try ask(&broker, 2, by: anna, ["CPU": 1, "GPU": 0.5], bundle: place(-1))
        == ["granted 2 on [0] in 1"])
    #expect(try ask(&broker, 3, by: anna, ["CPU": 1], bundle: place(-1)) == ["granted 3 in 0"])
    #expect(try ask(&broker, 4, by: anna, ["CPU": 1], bundle: place(0)) == ["recall 1, its own"])
    #expect(try ask(&broker, 5, by: anna, ["CPU": 2], bundle: place(0)) == ["refused 5: IOR-1303"])
    #expect(try ask(&broker, 6, by: anna, ["CPU": 1], bundle: place(2)) == ["refused 6: IOR-1305"])
    let (workers, actions) = broker.release(spec.group, now: start)
    #expect(Set(workers) == [worker(1), worker(2), worker(3)])
    #expect(tell(&broker, actions) == ["refused 4: IOR-1305"])
    #expect(broker.available == (try amounts(["CPU": 1, "GPU": 1.5])), "its tasks run still")
    for worker in workers { _ = broker.processGone(worker, now: start) }
    #expect(broker.available == (try amounts(["CPU": 4, "GPU": 2])))
  }

  @Test func `a removed group's GPU is nobody else's until its last worker is gone`() throws {
    var broker = try broker(["CPU": 1, "GPU": 1], gpus: 1)
    let spec = try group([["GPU": 1]])
    _ = try broker.prepare(
      BundleReservation(spec: spec, indices: [0], epoch: 1, commits: true), now: start)
    let part = try demand(["GPU": 0.1], bundle: place(0))
    // Five have their workers, five are still to get them.
    for number: UInt64 in 1...10 {
      let actions = broker.request(
        .init(holder: anna, number: number), from: ProcessAddress(node: node, worker: anna),
        job: spec.job, demand: part, now: start)
      if number.isMultiple(of: 2) { _ = tell(&broker, actions) }
    }
    _ = try ask(&broker, 11, by: bert, ["GPU": 1])
    let (workers, actions) = broker.release(spec.group, now: start)
    #expect(
      tell(&broker, actions).filter { !$0.hasPrefix("recall") }
        == [1, 3, 5, 7, 9].flatMap { ["unneeded \($0)", "refused \($0): IOR-1305"] })
    #expect(workers == [2, 4, 6, 8, 10].map(worker))
    #expect(broker.available["GPU"] == 0.5)
    for worker in workers.dropLast() {
      let story = tell(&broker, broker.processGone(worker, now: start))
      #expect(!story.contains("granted 11 on [0]"))
    }
    let last = tell(&broker, broker.processGone(worker(10), now: start))
    #expect(last == ["granted 11 on [0]"])
  }

  @Test func `what was only prepared is given back to a head that asks anew`() throws {
    var broker = try broker(["CPU": 4])
    let spec = try group([["CPU": 1], ["CPU": 2]])
    _ = try broker.prepare(
      BundleReservation(spec: spec, indices: [0], epoch: 1, commits: true), now: start)
    _ = try broker.prepare(
      BundleReservation(spec: spec, indices: [1], epoch: 2, commits: false), now: start)
    #expect(broker.available["CPU"] == 1)
    _ = broker.releaseUncommitted(now: start)
    #expect(broker.available["CPU"] == 3)
    #expect(broker.reservations.map(\.indices) == [[0]])
    #expect(try ask(&broker, 1, by: anna, ["CPU": 1], bundle: place(0)) == ["granted 1 in 0"])
  }

  @Test func `bundles are reserved all or none, and late orders are refused`() throws {
    var broker = try broker(["CPU": 4])
    let spec = try group([["CPU": 3], ["CPU": 3], ["CPU": 1]])
    func code(_ indices: [Int], _ epoch: Int64) -> IorunError.Code? {
      do {
        _ = try broker.prepare(
          BundleReservation(spec: spec, indices: indices, epoch: epoch, commits: true), now: start)
        return nil
      } catch { return (error as? IorunError)?.code }
    }
    #expect(code([0, 1], 1) == .overloaded)
    #expect(broker.available["CPU"] == 4)
    #expect(code([0], 2) == nil)
    #expect(code([0], 2) == nil, "the same order again")
    #expect(code([2], 3) == nil, "another bundle, in a later attempt")
    #expect(code([2], 1) == .wrongState)
    #expect(broker.available["CPU"] == 0)
    #expect(broker.reservations.map(\.indices) == [[0, 2]])
    #expect(broker.reservations.map(\.epoch) == [3])
    let error = #expect(throws: IorunError.self) {
      try broker.commit(spec.group, epoch: 1, now: start)
    }
    #expect(error?.code == .notFound)
    _ = broker.release(spec.group, now: start)
    #expect(broker.available["CPU"] == 4)
  }
}
