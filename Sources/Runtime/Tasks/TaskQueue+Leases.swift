internal import IorunCore
internal import IorunWire
internal import Synchronization

/// How a queue gets workers, and how it gives them back.
extension TaskQueue {
  private static let requestLimit = 64
  /// A lease that is not used for so long is given back.
  private static let idleLimit = Duration.seconds(1)

  private struct Cancel: Encodable { let number: UInt64 }
  private struct Return: Encodable { let lease: UInt64, node: NodeID, broken: Bool }

  // MARK: Asking

  func requestLeases() {
    let wanted = state.withLock { state in
      let room = min(state.waiting, process.leaseLimit, Self.requestLimit)
      return max(0, room - state.openRequests)
    }
    for _ in 0..<wanted { requestLease() }
  }

  private func requestLease() {
    do {
      let request = LeaseTicket()
      let id = try process.hub.send(.lease, demand) { [self] result in
        request.answered()
        answered(result, request)
      }
      let isOpen = request.sent(id)
      if isOpen {
        state.withLock { state in if !request.isAnswered { state.requests.insert(id) } }
      }
    } catch {
      failPending(error)
    }
  }

  private func answered(_ result: Result<HubLink.Answer, IorunError>, _ request: LeaseTicket) {
    state.withLock { state in
      guard let id = request.number else { return }
      state.requests.remove(id)
      state.cancelled.remove(id)
    }
    do {
      take(try result.get().decode(RuntimeLease.self), after: .now - request.askedAt)
      requestLeases()
    } catch let error as IorunError where error.code == .cancelled {
      // Tasks may have come since it was taken back.
      requestLeases()
    } catch {
      failPending(error)
    }
  }

  /// A lease was granted after so long a wait.
  private func take(_ grant: RuntimeLease, after wait: Duration) {
    let isFar = grant.node != process.address.node
    if !isFar { process.tasks.pressure.waited(wait) }
    let peer: Peer
    do {
      peer = try process.peers.peer(ProcessAddress(node: grant.node, worker: grant.worker))
      try GrantedGPUs.tell(peer, grant)
    } catch {
      // Its process is gone already.
      return giveBack(grant, broken: true)
    }
    let idle = state.withLock { state -> WorkerLease? in
      let lease = WorkerLease(
        grant: grant, peer: peer, isFar: isFar,
        isContended: process.tasks.pressure.isContended(), experience: state.far)
      if state.waiting == 0, lease.isContended || process.tasks.pressure.isRecalled() {
        return lease
      }
      state.leases[grant.worker] = lease
      process.tasks.leased(grant.worker, to: self)
      pump(&state)
      return nil
    }
    if let idle { giveBack(idle) }
  }

  /// Takes back requests for workers that nothing is left to run on. Each is still answered: by a
  /// refusal, or by a grant that crossed this.
  func cancelRequests(_ state: inout State) {
    guard state.openRequests > 0 else { return }
    for number in state.requests where state.cancelled.insert(number).inserted {
      process.hub.note(.leaseCancel, Cancel(number: number))
    }
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

  // MARK: Giving back

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

  /// A lease that has nothing left, and that others wait for, is not kept: it is taken off the list.
  func takeIfContended(_ lease: WorkerLease, _ state: inout State) -> WorkerLease? {
    guard lease.inFlight.isEmpty, state.waiting == 0,
      lease.isContended || process.tasks.pressure.isRecalled()
    else { return nil }
    return state.leases.removeValue(forKey: lease.grant.worker)
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
    for lease in idle { giveBack(lease) }
  }

  func giveBack(_ idle: WorkerLease) {
    process.tasks.unleased(idle.grant.worker, from: self)
    giveBack(idle.grant, broken: false)
  }

  private func giveBack(_ lease: RuntimeLease, broken: Bool) {
    process.hub.note(
      .leaseReturn, Return(lease: lease.lease, node: lease.node, broken: broken))
  }
}
