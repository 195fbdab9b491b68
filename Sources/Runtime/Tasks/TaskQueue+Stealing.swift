internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Tasks that are called back from one worker for another to run.
extension TaskQueue {
  /// A task that runs longer than this is a long one; on other nodes the way counts, too.
  private static let patience = Duration.milliseconds(10)
  /// What is taken for the way to another node before it is known.
  private static let farPatience = Duration.milliseconds(500)

  /// Asks a worker with much to do for tasks that it has not started, if another one has nothing.
  func steal(_ state: inout State) {
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
        guard lease.inFlight.count > 1, !lease.isStealing, stuck > Self.patience(lease) else {
          continue
        }
        // From now on the tasks count as long ones: workers get one at a time.
        state.taskNanoseconds = max(state.taskNanoseconds, stuck / .nanoseconds(1))
        lease.window = 1
        takeBack(lease)
      }
      return isBusy
    }
  }

  private static func patience(_ lease: WorkerLease) -> Duration {
    guard lease.isFar else { return patience }
    return patience + (lease.roundTrip.map { .nanoseconds(Int64(2 * $0)) } ?? farPatience)
  }

  /// Asks for all tasks of a worker but the one that runs.
  func takeBack(_ lease: WorkerLease) {
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
    let (records, idle) = state.withLock { state -> ([TaskRecord], WorkerLease?) in
      guard let lease = state.leases[worker] else { return ([], nil) }
      lease.isStealing = false
      let records = numbers.compactMap { lease.inFlight.removeValue(forKey: $0) }
      if lease.inFlight.isEmpty { lease.idleSince = .now }
      return (records, records.isEmpty ? takeIfContended(lease, &state) : nil)
    }
    if let idle { giveBack(idle) }
    let (cancelled, others) = (
      records.filter { $0.state.withLock { $0.isCancelled } },
      records.filter { !$0.state.withLock { $0.isCancelled } }
    )
    for record in cancelled { process.tasks.finish(record, process.tasks.cancelled) }
    resubmit(others)
  }
}
