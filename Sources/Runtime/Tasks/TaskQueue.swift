internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The tasks of one process that ask for the same, and the workers that are leased for them.
///
/// Tasks are pushed to workers before they can be run there, as many as keep a worker busy for a few
/// milliseconds beyond the way there and back: the throughput does not depend on the round trip. A
/// worker that runs dry is given what another has not started.
final class TaskQueue: Sendable {
  /// All that the lock guards.
  struct State {
    var pending: [TaskRecord] = []
    var head = 0
    var leases: [WorkerID: WorkerLease] = [:]
    /// Requests for leases that are not answered, and those of them that were taken back.
    var requests: Set<UInt64> = []
    var cancelled: Set<UInt64> = []
    /// Smoothed nanoseconds that a task takes; 0 where none has ended.
    var taskNanoseconds = 0.0
    var far = WorkerLease.FarExperience()

    var waiting: Int { pending.count - head }
    /// How many requests may still bring a lease.
    var openRequests: Int { requests.count - cancelled.count }

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

  let demand: RuntimeDemand
  unowned let process: ClusterProcess
  let state = Mutex(State())

  init(demand: RuntimeDemand, process: ClusterProcess) {
    self.demand = demand
    self.process = process
  }

  /// True where tasks wait for a worker.
  var hasWaiting: Bool { state.withLock { $0.waiting > 0 } }

  /// Appends a task.
  func submit(_ record: TaskRecord) {
    state.withLock { state in
      state.pending.append(record)
      pump(&state)
    }
    requestLeases()
  }

  /// Tasks came back without having been run: they go in front.
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
    let idle = state.withLock { state -> WorkerLease? in
      guard let lease = state.leases[worker],
        lease.inFlight.removeValue(forKey: record.number) != nil
      else { return nil }
      let sample = Double(min(nanoseconds, 3_600_000_000_000))
      state.taskNanoseconds =
        state.taskNanoseconds == 0 ? sample : state.taskNanoseconds * 0.9 + sample * 0.1
      lease.ended(nanoseconds: sample, average: state.taskNanoseconds)
      if lease.isFar { state.far = .init(window: lease.window, roundTrip: lease.roundTrip) }
      if lease.inFlight.isEmpty {
        lease.idleSince = lease.progress
        if let idle = takeIfContended(lease, &state) { return idle }
      }
      pump(&state)
      if sample > WorkerLease.nanosecondsAhead {
        // What it took came from a time of short tasks: the rest is for whoever is free.
        state.taskNanoseconds = max(state.taskNanoseconds, sample / 2)
        lease.window = 1
        takeBack(lease)
      }
      return nil
    }
    if let idle { giveBack(idle) }
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

  /// Sends what the workers have room for. Sending happens within the lock: a worker hears of a task
  /// before it could hear that it is cancelled.
  func pump(_ state: inout State) {
    defer { if state.waiting == 0 { cancelRequests(&state) } }
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
    lease.sent(record)
    return true
  }
}
