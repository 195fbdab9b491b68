import IorunCore
import IorunWire

/// Bundles of placement groups: resources that are set apart, and are given out to the group's tasks and
/// actors alone.
extension LeaseBroker {
  /// What of a group lies here.
  struct Group: Sendable {
    var spec: PlacementGroupSpec
    var members: [Int: Member] = [:]
  }

  /// One bundle.
  struct Member: Sendable {
    /// What it took from the node.
    var holding: ResourcePool.Holding
    /// What its tasks and actors take from it.
    var pool: ResourcePool
    var epoch: Int64
    /// False between the two phases.
    var isCommitted = false
  }

  /// First phase: sets the bundles' resources apart, all of them or none. Both phases where the
  /// reservation says so.
  ///
  /// - Throws: `overloaded` where there is no room now, `noPlacement` where there never will be,
  ///   `wrongState` for an earlier attempt than one that is here already.
  mutating func prepare(
    _ reservation: BundleReservation, now: ContinuousClock.Instant
  ) throws -> [Action] {
    let id = reservation.spec.group
    let newest = groups[id]?.members.values.map(\.epoch).max() ?? .min
    guard reservation.epoch >= newest else {
      throw IorunError(
        .wrongState,
        "group \(id) was reserved here by attempt \(newest), this is attempt \(reservation.epoch)",
        remedy: "Nothing is to be done: an order came late")
    }
    var trial = pool
    var taken: [Int: ResourcePool.Holding] = [:]
    for index in reservation.indices where groups[id]?.members[index] == nil {
      guard reservation.spec.bundles.indices.contains(index) else {
        throw IorunError(.malformed, "group \(id) has no bundle \(index)")
      }
      let bundle = reservation.spec.bundles[index]
      if let miss = pool.shortfall(bundle) {
        throw IorunError(.noPlacement, "bundle \(index): this node cannot give \(miss)")
      }
      guard let holding = trial.take(bundle) else {
        throw IorunError(.overloaded, "no room for bundle \(index), \(bundle), now")
      }
      taken[index] = holding
    }
    pool = trial
    for (index, holding) in taken {
      groups[id, default: Group(spec: reservation.spec)].members[index] = Member(
        holding: holding, pool: ResourcePool(holding), epoch: reservation.epoch)
    }
    // A bundle that is here already, in use or not, belongs to the newest attempt.
    for index in reservation.indices { groups[id]?.members[index]?.epoch = reservation.epoch }
    return reservation.commits ? try commit(id, epoch: reservation.epoch, now: now) : []
  }

  /// Second phase: the bundles may be used.
  ///
  /// - Throws: `notFound` where nothing is prepared by that attempt.
  mutating func commit(
    _ group: GroupID, epoch: Int64, now: ContinuousClock.Instant
  ) throws -> [Action] {
    let members = groups[group]?.members.filter { $0.value.epoch == epoch } ?? [:]
    guard !members.isEmpty else {
      throw IorunError(
        .notFound, "nothing of group \(group) is prepared here by attempt \(epoch)",
        remedy: "The group was removed meanwhile, or is being placed anew")
    }
    for index in members.keys { groups[group]?.members[index]?.isCommitted = true }
    return serve(now)
  }

  /// Gives a group's bundles back. What runs in them is to be ended; its resources come back, to the
  /// node, as it goes.
  mutating func release(_ group: GroupID, now: ContinuousClock.Instant) -> (
    workers: [WorkerID], actions: [Action]
  ) {
    guard let gone = groups.removeValue(forKey: group) else { return ([], []) }
    for member in gone.members.values { pool.give(member.holding) }
    var workers: [WorkerID] = []
    var actions: [Action] = []
    var unattached: [UInt64] = []
    // Whatever is still held is taken from the node before anybody is served: one who waits would get
    // a GPU that a worker of the group has not left yet.
    for (id, hold) in holds.sorted(by: { $0.key < $1.key }) {
      guard case .bundle(group, _) = hold.source else { continue }
      var held = hold.holding
      if hold.lent > 0 { held.units[ResourceAmounts.cpu]? -= hold.lent }
      pool.take(held)
      holds[id]?.source = .node
      if let worker = hold.worker { workers.append(worker) } else { unattached.append(id) }
    }
    for id in unattached {
      actions +=
        [.unneeded(grant: id)]
        + attachFailed(id, Self.removed(group), now: now)
    }
    for (shape, _) in queue.heads where shape.bundle?.group == group {
      actions += queue.removeLine(shape).map { .refused($0.key, Self.removed(group)) }
    }
    return (workers, actions + serve(now))
  }

  /// The bundles that are here for good, as a head must know them.
  var reservations: [BundleReservation] {
    groups.values.compactMap { group in
      let members = group.members.filter(\.value.isCommitted)
      guard let epoch = members.values.map(\.epoch).max() else { return nil }
      return BundleReservation(
        spec: group.spec, indices: members.keys.sorted(), epoch: epoch, commits: true)
    }
  }

  /// Gives back what was prepared and not committed: a head that asks anew knows nothing of it.
  mutating func releaseUncommitted(now: ContinuousClock.Instant) -> [Action] {
    for (id, group) in groups {
      for (index, member) in group.members where !member.isCommitted {
        pool.give(member.holding)
        groups[id]?.members[index] = nil
      }
      if groups[id]?.members.isEmpty == true { groups[id] = nil }
    }
    return serve(now)
  }

  /// True where the bundle, or one of its group, is here and may be used.
  func hasBundle(_ bundle: RuntimeDemand.Bundle) -> Bool {
    guard let members = groups[bundle.group]?.members else { return false }
    if bundle.index >= 0 { return members[bundle.index]?.isCommitted == true }
    return members.values.contains(where: \.isCommitted)
  }

  private static func removed(_ group: GroupID) -> IorunError {
    IorunError(
      .notFound, "placement group \(group) was removed",
      remedy: "Keep the group for as long as tasks and actors use it")
  }

  // MARK: Where a demand is met

  /// Who has room for a demand now; `nil` for nobody.
  func source(for demand: RuntimeDemand) -> Source? {
    guard let bundle = demand.bundle else { return pool.fits(demand.resources) ? .node : nil }
    guard let members = groups[bundle.group]?.members else { return nil }
    if bundle.index >= 0 {
      guard let member = members[bundle.index], member.isCommitted,
        member.pool.fits(demand.resources)
      else { return nil }
      return .bundle(bundle.group, bundle.index)
    }
    return members.filter { $0.value.isCommitted && $0.value.pool.fits(demand.resources) }
      .keys.min().map { .bundle(bundle.group, $0) }
  }

  func bundleShortfall(_ bundle: RuntimeDemand.Bundle, _ wanted: ResourceAmounts) -> IorunError? {
    let members = groups[bundle.group]?.members ?? [:]
    let able = bundle.index < 0 ? members : members.filter { $0.key == bundle.index }
    guard !able.isEmpty else {
      return IorunError(
        .notFound,
        bundle.index < 0
          ? "placement group \(bundle.group) has no bundle on this node"
          : "bundle \(bundle.index) of placement group \(bundle.group) is not on this node",
        remedy: "Wait until the group is ready; it may also have been removed")
    }
    let misses = able.sorted { $0.key < $1.key }.map { $0.value.pool.shortfall(wanted) }
    guard !misses.contains(nil), let miss = misses.first ?? nil else { return nil }
    return IorunError(
      .noPlacement, "no bundle of placement group \(bundle.group) here can give \(miss)",
      remedy: "Make the group's bundles larger, or ask for less")
  }

  /// Changes the pool of a source. `nil` where its bundle is gone.
  @discardableResult
  mutating func change<Result>(
    _ source: Source, _ body: (inout ResourcePool) -> Result
  ) -> Result? {
    switch source {
    case .node: return body(&pool)
    case .bundle(let group, let index):
      guard var member = groups[group]?.members[index] else { return nil }
      let result = body(&member.pool)
      groups[group]?.members[index] = member
      return result
    }
  }
}
