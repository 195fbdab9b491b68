internal import IorunContract
internal import IorunCore
internal import IorunWire

/// Leases of workers on other nodes than the one that asks.
extension ClusterDirector {
  /// One that waits for a node.
  struct LeaseWaiter {
    var continuation: CheckedContinuation<Seat, any Error>
    var wish: LeaseWish
  }

  /// Room on a node, reserved.
  struct Seat: Sendable {
    var node: NodeID
    var reservation: ClusterMember.Reservation
  }

  /// Who asks for what, since when.
  struct LeaseWish: Sendable {
    var demand: RuntimeDemand
    var shape: DemandShape.Demand
    var holder: ProcessAddress
    var job: JobID
    var number: UInt64
    var place: UInt64
    var since: Duration
  }

  func lease(
    _ demand: RuntimeDemand, job: JobID, holder: ProcessAddress, ticket: UInt64, caller: PeerID
  ) async throws -> RuntimeLease {
    let origin = try await self.caller(caller)
    guard holder.node == origin else {
      throw IorunError(.notAllowed, "a node leases for its own processes only")
    }
    let name = LeaseTicket(holder: holder, ticket: ticket)
    if doomedLeases.take(name) { throw Self.cancelled("the caller gave up") }
    let wish = LeaseWish(
      demand: demand, shape: DemandShape.Demand(demand, origin: origin, tenant: tenant(of: job)),
      holder: holder, job: job,
      number: draw(), place: line.takePlace(), since: clock.elapsed())
    leaseNumbers[name] = wish.number
    defer { leaseNumbers[name] = nil }
    var isFirstTry = true
    while true {
      let runtimeJob = try runtimeJob(job)
      let seat = try await seat(wish, isFirstTry: isFirstTry)
      isFirstTry = false
      let node = seat.node
      let lease: RuntimeLease
      do {
        lease = try await call(node) {
          try await $0.grantLease(demand, job: runtimeJob, holder: holder, caller: self.head)
        }
      } catch {
        members[node]?.settle(seat.reservation, took: false)
        let isRefusal = (error as? IorunError).map(Self.isRefusal) ?? false
        guard isRefusal, !Task.isCancelled else { throw error }
        members[node]?.refused(.demand(wish.shape), seat.reservation)
        guard leaseNumbers[name] == wish.number else {
          throw Self.cancelled("the caller gave up")
        }
        continue
      }
      members[node]?.settle(seat.reservation, took: true)
      let isWanted = leaseNumbers[name] == wish.number && !Task.isCancelled
      if isWanted, jobs[job] != nil, members[origin] != nil { return lease }
      giveBack(lease, holder: holder)
      throw Self.cancelled("nobody waits for it any more")
    }
  }

  func cancelLease(_ ticket: UInt64, holder: ProcessAddress, caller: PeerID) async throws {
    let origin = try await self.caller(caller)
    guard holder.node == origin else {
      throw IorunError(.notAllowed, "a node takes back its own processes' requests only")
    }
    let name = LeaseTicket(holder: holder, ticket: ticket)
    // One that has been answered leaves its name here for a while: names are used once.
    guard let number = leaseNumbers.removeValue(forKey: name) else { return doomedLeases.add(name) }
    resume(number, with: .failure(Self.cancelled("the caller gave up")))
  }

  /// Room on a node, at once or when there is some.
  private func seat(_ wish: LeaseWish, isFirstTry: Bool) async throws -> Seat {
    let shape = DemandShape.demand(wish.shape)
    // Whoever waits with the same wish came first, unless this one comes back.
    if !isFirstTry || !line.holds(shape) {
      switch try decide(wish.shape) {
      case .place(let node): if let seat = take(node, for: wish) { return seat }
      case .wait: break
      case .infeasible(let error): if !mayStillFit(since: wish.since) { throw error }
      }
    }
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        if Task.isCancelled {
          return continuation.resume(throwing: Self.cancelled("the caller gave up"))
        }
        leaseWaiters[wish.number] = LeaseWaiter(continuation: continuation, wish: wish)
        do {
          try enqueue(.lease(wish.number), shape, since: wish.since, at: wish.place)
        } catch {
          leaseWaiters[wish.number] = nil
          continuation.resume(throwing: error)
        }
      }
    } onCancel: {
      Task { await self.resume(wish.number, with: .failure(Self.cancelled("the caller gave up"))) }
    }
  }

  private func take(_ node: NodeID, for wish: LeaseWish) -> Seat? {
    guard let reservation = members[node]?.reserve(Self.held(wish.demand)) else { return nil }
    took(node, for: wish.demand)
    return Seat(node: node, reservation: reservation)
  }

  func resume(_ number: UInt64, with result: Result<NodeID, IorunError>) {
    line.remove(.lease(number))
    guard let waiter = leaseWaiters.removeValue(forKey: number) else { return }
    switch result {
    case .failure(let error): waiter.continuation.resume(throwing: error)
    case .success(let node):
      guard let seat = take(node, for: waiter.wish) else {
        return waiter.continuation.resume(throwing: Self.lost(node))
      }
      waiter.continuation.resume(returning: seat)
    }
  }

  /// Ends the waits that nobody profits from any more.
  func cancelLeases(_ reason: String, where isMoot: (LeaseWish) -> Bool) {
    for (number, waiter) in leaseWaiters where isMoot(waiter.wish) {
      resume(number, with: .failure(Self.cancelled(reason)))
    }
  }

  private func giveBack(_ lease: RuntimeLease, holder: ProcessAddress) {
    tell(lease.node, "a lease that is given back") {
      try await $0.returnLease(lease.lease, holder: holder, broken: false, caller: self.head)
    }
  }

  /// What it takes of its node; a bundle's room was taken with the group.
  static func held(_ demand: RuntimeDemand) -> ResourceAmounts {
    demand.bundle == nil ? demand.resources : ResourceAmounts()
  }

  static func cancelled(_ reason: String) -> IorunError {
    IorunError(.cancelled, "a lease was not granted: \(reason)")
  }
}
