internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import IorunWire

/// How a placement group gets its bundles: all nodes prepare, then all commit, or all give back. A
/// group that lies on one node takes one call.
extension ClusterDirector {
  /// Tries to reserve what a group lacks; waits in line where there is no room.
  func reserve(_ id: GroupID) async {
    while let group = groups[id], group.nodes.contains(nil), !group.isReserving {
      guard let plan = plan(id) else { return }
      await carryOut(plan, of: id)
    }
  }

  /// There may be room for a group that waits; true where it has left the line.
  func serveGroup(_ id: GroupID, _ entry: WaitingLine.Entry) -> Bool {
    guard let group = groups[id], group.nodes.contains(nil) else {
      line.remove(entry.item)
      return true
    }
    if group.isReserving { return false }
    guard let plan = plan(id) else { return false }
    line.remove(entry.item)
    tasks.run { [weak self] in
      await self?.carryOut(plan, of: id)
      await self?.reserve(id)
    }
    return true
  }

  /// What each node is to prepare, with the room for it taken.
  struct GroupPlan: Sendable {
    struct Part: Sendable {
      var node: NodeID
      var indices: [Int]
      var reservation: ClusterMember.Reservation
    }
    var parts: [Part]
    var epoch: Int64
    var spec: PlacementGroupSpec
  }

  /// Decides, and takes the room; `nil` where the group waits.
  private func plan(_ id: GroupID) -> GroupPlan? {
    guard let group = groups[id] else { return nil }
    let spec = group.spec
    let shape = DemandShape.group(id)
    let request = GroupPlacement.Request(
      bundles: spec.bundles, selectors: spec.labels.compactMap { try? LabelSelector($0) },
      strategy: GroupPlacement.Strategy(spec), fixed: group.nodes)
    let able = offers(to: tenant(of: spec.job)).map { offer in
      var offer = offer
      // A node that has just refused is feasible, but not now.
      if members[offer.node]?.refusals.contains(shape) == true {
        offer.available = ResourceAmounts()
      }
      return offer
    }
    let decision: GroupPlacement.Decision
    if group.fitsMembers == membersVersion {
      decision = GroupPlacement().placeNow(request, on: able).map { .place($0) } ?? .wait
    } else {
      decision = GroupPlacement().place(request, on: able)
    }
    switch decision {
    case .place(let nodes):
      groups[id]?.isReserving = true
      epoch += 1
      let open = group.nodes.indices.filter { group.nodes[$0] == nil }
      var parts: [GroupPlan.Part] = []
      for (node, indices) in Dictionary(grouping: open, by: { nodes[$0] }) {
        guard let reservation = members[node]?.reserve(group.amounts(of: indices)) else { continue }
        parts.append(GroupPlan.Part(node: node, indices: indices, reservation: reservation))
      }
      return GroupPlan(parts: parts, epoch: epoch, spec: spec)
    case .wait:
      groups[id]?.fitsMembers = membersVersion
      hold(id, state: nil, reason: "it waits for resources that are in use")
    case .infeasible(let reason):
      if let proved = offersOnceProved {
        let later = GroupPlacement().place(request, on: proved)
        if case .infeasible(let reason) = later {
          hold(id, state: .infeasible, reason: reason)
        } else {
          hold(id, state: nil, reason: "it waits for nodes that are not verified yet")
        }
      } else {
        hold(id, state: .infeasible, reason: reason)
      }
    }
    return nil
  }

  private func hold(_ id: GroupID, state: PlacementGroupStatus.State?, reason: String) {
    guard let group = groups[id] else { return }
    let waits: PlacementGroupStatus.State =
      group.nodes.contains { $0 != nil } || group.state == .rescheduling ? .rescheduling : .pending
    groups[id]?.state = waits == .rescheduling ? waits : state ?? waits
    groups[id]?.reason = reason
    do {
      try enqueue(.group(id), .group(id), since: group.since, at: group.place)
    } catch {
      groups[id]?.reason = "\(reason); it is not tried again: \(error)"
    }
  }

  /// Asks the nodes of a plan. One refusal undoes the whole plan; a group that already has bundles
  /// keeps what it got, because its other bundles stand anyway.
  private func carryOut(_ plan: GroupPlan, of id: GroupID) async {
    let commits = plan.parts.count == 1
    let prepared = await withTaskGroup(of: (Int, IorunError?).self) { tasks in
      for (index, part) in plan.parts.enumerated() {
        let reservation = BundleReservation(
          spec: plan.spec, indices: part.indices, epoch: plan.epoch, commits: commits)
        tasks.addTask {
          (index, await self.prepare(reservation, on: part.node))
        }
      }
      var failures: [Int: IorunError] = [:]
      for await (index, error) in tasks { failures[index] = error }
      return failures
    }
    groups[id]?.isReserving = false
    let isWanted = groups[id] != nil
    let keepsParts = groups[id]?.nodes.contains { $0 != nil } ?? false
    let isWhole = isWanted && (prepared.isEmpty || keepsParts)
    for (index, part) in plan.parts.enumerated() {
      let isHeld = prepared[index] == nil
      members[part.node]?.settle(part.reservation, took: isHeld)
      if let error = prepared[index] {
        members[part.node]?.refused(.group(id), part.reservation)
        // It may be held all the same, if only the answer was lost.
        if Self.isSilence(error), !keepsParts { release(id, on: part.node) }
      } else if !isWhole {
        release(id, on: part.node)
      } else if members[part.node] != nil {
        for index in part.indices { groups[id]?.nodes[index] = part.node }
        if !commits { commit(id, plan.epoch, on: part.node) }
      }
    }
    guard let group = groups[id], !group.nodes.contains(nil) else { return }
    groups[id]?.state = .created
    groups[id]?.reason = nil
    groupBell.ring(id)
    // Tasks and actors may wait for a bundle of it.
    pump()
  }

  private func prepare(_ reservation: BundleReservation, on node: NodeID) async -> IorunError? {
    do {
      try await call(node) { try await $0.prepareBundles(reservation, caller: self.head) }
      return nil
    } catch {
      return error as? IorunError
        ?? IorunError(.internalFault, "bundles were not prepared", cause: error)
    }
  }

  private func commit(_ id: GroupID, _ epoch: Int64, on node: NodeID) {
    tell(node, "the commit of bundles") {
      try await $0.commitBundles(id, epoch: epoch, caller: self.head)
    }
  }

  /// Gives a node's bundles of a group back. The room counts as free when the node says so.
  func release(_ id: GroupID, on node: NodeID) {
    tell(node, "the release of bundles") {
      try await $0.releaseBundles(id, caller: self.head)
    }
  }

  /// Bundles on a node that is lost need another one.
  func loseBundles(on node: NodeID) {
    for (id, group) in groups where group.nodes.contains(node) {
      for index in group.nodes.indices where group.nodes[index] == node {
        groups[id]?.nodes[index] = nil
      }
      groups[id]?.state = .rescheduling
      groups[id]?.place = line.takePlace()
      groups[id]?.reason = "a node that held bundles of it is lost"
      tasks.run { [weak self] in await self?.reserve(id) }
    }
  }

  /// The bundles that a node holds when it registers.
  func adoptGroups(_ held: [BundleReservation], on node: NodeID) {
    for reservation in held {
      let id = reservation.spec.group
      let isOver = endedJobs.contains { $0.runtime.job == reservation.spec.job }
      if isOver || (groups[id] == nil && groups.count >= limits.groups) {
        release(id, on: node)
        continue
      }
      if groups[id] == nil {
        groups[id] = LiveGroup(
          spec: reservation.spec, state: .rescheduling,
          nodes: Array(repeating: nil, count: reservation.spec.bundles.count),
          place: line.takePlace(), since: clock.elapsed())
        if let name = reservation.spec.fullName { groupNames[name] = id }
        awaitRest(of: id)
      }
      epoch = max(epoch, reservation.epoch)
      adopt(reservation, on: node)
    }
    let present = Set(held.map(\.spec.group))
    for (id, group) in groups where group.nodes.contains(node) && !present.contains(id) {
      for index in group.nodes.indices where group.nodes[index] == node {
        groups[id]?.nodes[index] = nil
      }
      groups[id]?.state = .rescheduling
      tasks.run { [weak self] in await self?.reserve(id) }
    }
  }

  private func adopt(_ reservation: BundleReservation, on node: NodeID) {
    let id = reservation.spec.group
    for index in reservation.indices where groups[id]?.nodes.indices.contains(index) == true {
      guard groups[id]?.nodes[index] == nil || groups[id]?.nodes[index] == node else {
        // It was reserved elsewhere meanwhile.
        return release(id, on: node)
      }
      groups[id]?.nodes[index] = node
    }
    guard let group = groups[id], !group.nodes.contains(nil) else { return }
    groups[id]?.state = .created
    groupBell.ring(id)
  }

  /// A new head hears of a group from one of its nodes: the others are about to tell of theirs.
  private func awaitRest(of id: GroupID) {
    tasks.run { [weak self] in
      guard let self, (try? await self.clock.sleep(self.limits.arrivalGrace)) != nil else { return }
      await self.reserve(id)
    }
  }
}

extension GroupPlacement.Strategy {
  init(_ spec: PlacementGroupSpec) {
    self =
      switch spec.strategy {
      case .pack: .pack
      case .spread: .spread
      case .strictPack: .strictPack
      case .strictSpread: .strictSpread
      case .site:
        .site(maxRoundTripMilliseconds: spec.maxRoundTripMilliseconds ?? .greatestFiniteMagnitude)
      }
  }
}
