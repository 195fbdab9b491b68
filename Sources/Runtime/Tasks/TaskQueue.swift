internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The tasks of one process that ask for the same, and the workers that are leased for them.
///
/// Tasks are pushed to workers before they can be run there, as many as keep a worker busy for a few
/// milliseconds beyond the way there and back: the throughput does not depend on the round trip. A
/// worker that runs dry is given what another has not started.
final class TaskQueue: Sendable {
  private struct State {
    var pending: [TaskRecord] = []
    var head = 0
    var leases: [WorkerID: WorkerLease] = [:]
    var requests: Set<UInt64> = []
    /// Smoothed nanoseconds that a task takes; 0 where none has ended.
    var taskNanoseconds = 0.0

    var waiting: Int { pending.count - head }

    mutating func pop() -> TaskRecord? {
      guard head < pending.count else { return nil }
      let record = pending[head]
      head += 1
      if head > 1024, head > pending.count / 2 {
        pending.removeFirst(head)
        head = 0
      } else if head == pending.count {
        pending.removeAll(keepingCapacity: pending.capacity < 4096)
        head = 0
      }
      return record
    }
  }

  /// This much work is kept at each worker, beyond the round trip.
  private static let nanosecondsAhead = 10_000_000.0
  private static let windowLimit = 4000
  /// A task that runs longer than this is a long one; on other nodes the way there counts, too.
  private static let patience = Duration.milliseconds(10)
  private static let farPatience = Duration.milliseconds(500)
  private static let requestLimit = 64
  /// A lease that is not used for so long is given back.
  private static let idleLimit = Duration.seconds(1)

  private struct Cancel: Encodable { let number: UInt64 }
  private struct Return: Encodable { let lease: UInt64, node: NodeID, broken: Bool }

  let demand: RuntimeDemand
  private unowned let process: ClusterProcess
  private let state = Mutex(State())

  init(demand: RuntimeDemand, process: ClusterProcess) {
    self.demand = demand
    self.process = process
  }

  /// Appends a task, or puts it in front where it was taken back.
  func submit(_ record: TaskRecord) {
    state.withLock { state in
      state.pending.append(record)
      pump(&state)
    }
    requestLeases()
  }

  /// A task came back without having been run.
  func resubmit(_ records: [TaskRecord]) {
    guard !records.isEmpty else { return }
    state.withLock { state in
      for record in records { record.state.withLock { $0.phase = .queued } }
      state.pending.insert(contentsOf: records, at: state.head)
      pump(&state)
    }
    requestLeases()
  }

  /// A worker has ended a task, which took it so long.
  func ended(_ record: TaskRecord, on worker: WorkerID, nanoseconds: UInt64) {
    state.withLock { state in
      guard let lease = state.leases[worker],
        lease.inFlight.removeValue(forKey: record.number) != nil
      else { return }
      let sample = Double(min(nanoseconds, 3_600_000_000_000))
      state.taskNanoseconds =
        state.taskNanoseconds == 0 ? sample : state.taskNanoseconds * 0.9 + sample * 0.1
      let target = Self.nanosecondsAhead / max(state.taskNanoseconds, 1000)
      lease.window = min(
        max(1, Int(target)), max(1, lease.window * 2), Self.windowLimit)
      pump(&state)
      lease.progress = .now
      if sample > Self.nanosecondsAhead {
        // What it took came from a time of short tasks: the rest is for whoever is free.
        state.taskNanoseconds = max(state.taskNanoseconds, sample / 2)
        lease.window = 1
        takeBack(lease)
      }
      if lease.inFlight.isEmpty { lease.idleSince = lease.progress }
    }
  }

  /// Takes a task out before it is sent; true where it was there.
  func remove(_ record: TaskRecord) -> Bool {
    state.withLock { state in
      guard let index = state.pending[state.head...].firstIndex(where: { $0 === record }) else {
        return false
      }
      state.pending.remove(at: index)
      return true
    }
  }

  // MARK: Workers

  /// Sends what the workers have room for. Sending happens within the lock: a worker hears of a task
  /// before it could hear that it is cancelled.
  private func pump(_ state: inout State) {
    guard state.waiting > 0 else { return steal(&state) }
    let busy = state.leases.values.reduce(0) { $0 + $1.inFlight.count }
    let share = max(1, (state.waiting + busy + state.leases.count - 1) / max(1, state.leases.count))
    for lease in state.leases.values {
      while lease.inFlight.count < min(lease.window, share), let record = state.pop() {
        guard push(record, to: lease) else {
          state.pending.insert(record, at: state.head)
          break
        }
      }
    }
  }

  private func push(_ record: TaskRecord, to lease: WorkerLease) -> Bool {
    let attempt = record.state.withLock { $0.attempt }
    do {
      try process.objects.lend(record.arguments.objects, to: lease.peer.address)
      try lease.peer.send(
        .task, flags: record.stream == nil ? 0 : 1, aux: attempt, number: record.number
      ) { frame in
        frame.append(text: record.name)
        frame.append(integer: UInt32(record.resultCount))
        frame.append(integer: record.stream?.received ?? 0)
        record.arguments.write(to: &frame)
      }
    } catch {
      // The worker is gone or does not read: its end, or its reading on, is heard of elsewhere.
      lease.window = 0
      return false
    }
    record.state.withLock { $0.phase = .pushed(lease) }
    if lease.inFlight.isEmpty { lease.progress = .now }
    lease.inFlight[record.number] = record
    return true
  }

  /// Asks a worker with much to do for tasks that it has not started, if another one has nothing.
  private func steal(_ state: inout State) {
    guard state.leases.count > 1, state.leases.values.contains(where: { $0.inFlight.isEmpty }),
      let victim = state.leases.values.max(by: { $0.inFlight.count < $1.inFlight.count }),
      victim.inFlight.count > 1, !victim.isStealing
    else { return }
    victim.isStealing = true
    do {
      try victim.peer.send(.steal, number: UInt64(victim.inFlight.count / 2))
    } catch {
      victim.isStealing = false
    }
  }

  /// Takes tasks back that wait behind one that turned out long, for other workers to run; true where
  /// any worker has something to do.
  func rebalance() -> Bool {
    let now = ContinuousClock.now
    return state.withLock { state in
      var isBusy = false
      for lease in state.leases.values where !lease.inFlight.isEmpty {
        isBusy = true
        let stuck = now - lease.progress
        let isHere = lease.grant.node == process.address.node
        guard lease.inFlight.count > 1, !lease.isStealing,
          stuck > (isHere ? Self.patience : Self.farPatience)
        else { continue }
        // From now on the tasks count as long ones: workers get one at a time.
        state.taskNanoseconds = max(state.taskNanoseconds, stuck / .nanoseconds(1))
        lease.window = 1
        takeBack(lease)
      }
      return isBusy
    }
  }

  /// Asks for all tasks of a worker but the one that runs.
  private func takeBack(_ lease: WorkerLease) {
    guard lease.inFlight.count > 1, !lease.isStealing else { return }
    do {
      try lease.peer.send(.steal, number: UInt64(lease.inFlight.count - 1))
      lease.isStealing = true
    } catch {
      // The worker is gone; its end is heard of elsewhere.
      lease.isStealing = false
    }
  }

  /// A worker has given tasks back.
  func stolen(_ numbers: [UInt64], from worker: WorkerID) {
    let records = state.withLock { state -> [TaskRecord] in
      guard let lease = state.leases[worker] else { return [] }
      lease.isStealing = false
      return numbers.compactMap { lease.inFlight.removeValue(forKey: $0) }
    }
    let (cancelled, others) = (
      records.filter { $0.state.withLock { $0.isCancelled } },
      records.filter { !$0.state.withLock { $0.isCancelled } }
    )
    for record in cancelled { process.tasks.finish(record, process.tasks.cancelled) }
    resubmit(others)
  }

  private func requestLeases() {
    let wanted = state.withLock { state in
      let room = min(state.waiting, process.leaseLimit, Self.requestLimit)
      return max(0, room - state.requests.count)
    }
    for _ in 0..<wanted { requestLease() }
  }

  private func requestLease() {
    do {
      let request = LeaseTicket()
      let id = try process.hub.send(.lease, demand) { [self] result in
        request.answered()
        granted(result, request)
      }
      let isOpen = request.sent(id)
      if isOpen {
        state.withLock { state in if !request.isAnswered { state.requests.insert(id) } }
      }
    } catch {
      failPending(error)
    }
  }

  private func granted(_ result: Result<HubLink.Answer, IorunError>, _ request: LeaseTicket) {
    do {
      let lease = try result.get().decode(RuntimeLease.self)
      do {
        let peer = try process.peers.peer(
          ProcessAddress(node: lease.node, worker: lease.worker))
        state.withLock { state in
          if let id = request.number { state.requests.remove(id) }
          state.leases[lease.worker] = WorkerLease(grant: lease, peer: peer)
          pump(&state)
        }
        process.tasks.leased(lease.worker, to: self)
      } catch {
        giveBack(lease, broken: true)
        state.withLock { state in
          if let id = request.number { _ = state.requests.remove(id) }
        }
      }
      requestLeases()
      cancelRequests()
    } catch let error as IorunError {
      state.withLock { state in
        if let id = request.number { _ = state.requests.remove(id) }
      }
      if error.code != .cancelled { failPending(error) }
    } catch {
      failPending(error)
    }
  }

  /// Takes back requests for workers that nothing is left to run on.
  private func cancelRequests() {
    let numbers = state.withLock { state in
      state.waiting == 0 ? Array(state.requests) : []
    }
    for number in numbers { process.hub.note(.leaseCancel, Cancel(number: number)) }
  }

  /// No worker can be had, ever: all tasks that wait fail with the reason.
  private func failPending(_ error: any Error) {
    let records = state.withLock { state -> [TaskRecord] in
      guard state.leases.isEmpty else { return [] }
      defer {
        state.pending = []
        state.head = 0
      }
      return Array(state.pending[state.head...])
    }
    for record in records { process.tasks.finish(record, process.errors.encode(error)) }
  }

  /// The worker is gone: the tasks that were there.
  func lost(_ worker: WorkerID) -> [TaskRecord] {
    let (lease, records) = state.withLock { state -> (WorkerLease?, [TaskRecord]) in
      guard let lease = state.leases.removeValue(forKey: worker) else { return (nil, []) }
      defer { lease.inFlight = [:] }
      // Whatever follows starts slowly, so that a task that ends its worker takes few with it.
      for other in state.leases.values { other.window = min(other.window, 1) }
      state.taskNanoseconds = 0
      return (lease, lease.inFlight.values.sorted { $0.number < $1.number })
    }
    if let lease { giveBack(lease.grant, broken: true) }
    return records
  }

  /// Gives back leases without work: those that are idle for long, or all.
  func returnIdle(all: Bool = false) {
    let now = ContinuousClock.now
    let idle = state.withLock { state in
      let idle = state.leases.values.filter {
        $0.inFlight.isEmpty && (all || $0.window == 0 || now - $0.idleSince > Self.idleLimit)
      }
      guard state.waiting == 0 else { return [] as [WorkerLease] }
      for lease in idle { state.leases[lease.grant.worker] = nil }
      return idle
    }
    for lease in idle {
      process.tasks.unleased(lease.grant.worker)
      giveBack(lease.grant, broken: false)
    }
  }

  private func giveBack(_ lease: RuntimeLease, broken: Bool) {
    process.hub.note(
      .leaseReturn, Return(lease: lease.lease, node: lease.node, broken: broken))
  }
}

/// A request for a lease between its sending and its answer, which may come in either order.
final class LeaseTicket: Sendable {
  private let state = Mutex<(number: UInt64?, isAnswered: Bool)>((nil, false))

  var number: UInt64? { state.withLock { $0.number } }
  var isAnswered: Bool { state.withLock { $0.isAnswered } }
  func answered() { state.withLock { $0.isAnswered = true } }

  /// True where the answer has not come yet.
  func sent(_ number: UInt64) -> Bool {
    state.withLock { state in
      state.number = number
      return !state.isAnswered
    }
  }
}
