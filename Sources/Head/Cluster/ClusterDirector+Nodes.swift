internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// Which nodes offer room to runtime jobs, and what becomes of what a lost one held.
extension ClusterDirector {
  func register(_ registration: ClusterRegistration, caller: PeerID) async throws -> [JobID] {
    try authoriser.check(caller, may: .offerNode)
    try Self.check(registration)
    guard let snapshot = await registeredNode(caller) else {
      throw IorunError(
        .wrongState, "node \(caller.short) offers runtime jobs before it is registered",
        remedy: "Register the node first")
    }
    let node = NodeID(caller)
    let previous = members[node]
    var member = ClusterMember(
      node: node, facts: snapshot.facts, total: registration.total,
      available: registration.available, labels: registration.labels)
    member.roundTripMilliseconds = snapshot.roundTripMilliseconds
    member.isUnproved = snapshot.isUnproved
    member.hasUnprovedGPUs = snapshot.hasUnprovedGPUs
    if let previous {
      member.inFlight = previous.inFlight
      member.calls = previous.calls
      member.updates = previous.updates + 1
    }
    members[node] = member
    formerMembers[node] = nil
    adoptJobs(registration, on: node)
    adoptActors(registration.actors, on: node)
    adoptGroups(registration.bundles, on: node)
    memberBell.ring(node)
    publishMembers()
    pump()
    return endedJobs.map(\.runtime.job)
  }

  /// The node, which registers itself at the same time: its other call may still be on its way to
  /// the disk.
  private func registeredNode(_ peer: PeerID) async -> NodeSnapshot? {
    let end = clock.elapsed() + .seconds(2)
    while true {
      if let found = await directory.node(peer) { return found }
      guard clock.elapsed() < end, !Task.isCancelled else { return nil }
      guard (try? await clock.sleep(.milliseconds(2))) != nil else { return nil }
    }
  }

  func update(available: ResourceAmounts, waiting: Int, number: UInt64, caller: PeerID) async throws
  {
    try authoriser.check(caller, may: .offerNode)
    let node = NodeID(caller)
    guard members[node] != nil else { throw Self.unregistered }
    guard
      members[node]?.take(available, waiting: waiting, number: number) == true
    else { return }
    pump()
  }

  func clusterNodes(caller: PeerID) async throws -> [ClusterNode] {
    try authoriser.check(caller, may: .offerNode)
    return await clusterNodes()
  }

  /// All nodes that are or were members, by name.
  func clusterNodes() async -> [ClusterNode] {
    let snapshots = Dictionary(
      (await directory.snapshot()).map { (NodeID($0.id), $0) },
      uniquingKeysWith: { first, _ in first })
    var nodes = members.values.map { member in
      Self.clusterNode(
        member, state: member.isPlaceable ? .alive : snapshots[member.node]?.state ?? .suspect,
        reason: nil)
    }
    nodes += formerMembers.values.map { former in
      let state = snapshots[former.member.node]?.state
      return Self.clusterNode(
        former.member, state: state == .left || state == .unreachable ? state ?? .dead : .dead,
        reason: former.reason)
    }
    return nodes.sorted { ($0.name, $0.node) < ($1.name, $1.node) }
  }

  private static func clusterNode(_ member: ClusterMember, state: NodeState, reason: String?)
    -> ClusterNode
  {
    let isMember = state == .alive || state == .suspect
    return ClusterNode(
      node: member.node, name: member.facts.name, address: member.facts.address,
      hostname: member.facts.hostname, alive: isMember, state: state.rawValue, reason: reason,
      resources: member.total,
      // What is in flight may be counted by the node already.
      available: isMember ? (member.available - member.inFlight).positive : ResourceAmounts(),
      labels: member.labels)
  }

  // MARK: loss

  /// Compares the members with what the directory hears of them.
  func lookAtNodes() async {
    let snapshots = await directory.snapshot()
    awaitedMembers = []
    defer { expectsMembers = !awaitedMembers.isEmpty }
    for snapshot in snapshots {
      let node = NodeID(snapshot.id)
      let isGone = snapshot.state == .dead || snapshot.state == .left
      if members[node] == nil {
        if !isGone { awaitedMembers.insert(node) }
        continue
      }
      // Sooner than ranks of gangs: what a program loses here begins anew elsewhere.
      if isGone || snapshot.state == .unreachable {
        lose(node, reason: snapshot.reason ?? "it fell silent for longer than is usual for it")
        continue
      }
      let isPlaceable = snapshot.state == .alive && snapshot.takesWork
      if members[node]?.isPlaceable != isPlaceable {
        members[node]?.isPlaceable = isPlaceable
        membersVersion += 1
      }
      if members[node]?.isUnproved != snapshot.isUnproved
        || members[node]?.hasUnprovedGPUs != snapshot.hasUnprovedGPUs
      {
        members[node]?.isUnproved = snapshot.isUnproved
        members[node]?.hasUnprovedGPUs = snapshot.hasUnprovedGPUs
        membersVersion += 1
      }
      members[node]?.roundTripMilliseconds = snapshot.roundTripMilliseconds
    }
  }

  /// A node is gone: everybody hears of it, and what it held begins anew elsewhere or ends.
  func lose(_ node: NodeID, reason: String) {
    guard let member = members.removeValue(forKey: node) else { return }
    formerMembers[node] = (member, reason)
    if formerMembers.count > NodeDirectory.maximumNodes / 10 { formerMembers = [:] }
    logger.notice("node \(member.facts.name) is lost to runtime jobs: \(reason)")
    for cancel in member.calls.values { cancel() }
    tellAll("node lost") { try await $0.nodeLost(node, reason: reason, caller: self.head) }
    publishMembers()
    cancelLeases("its node \(member.facts.name) is lost: \(reason)") { $0.holder.node == node }
    for job in jobs.values where job.endReason == nil && job.runtime.driver.node == node {
      // Every node ends the jobs of a node of whose loss it hears.
      end(
        job.runtime.job, reason: "the node of its driver, \(member.facts.name), is lost: \(reason)",
        telling: [])
    }
    loseActors(on: node, named: member.facts.name, reason: reason)
    loseBundles(on: node)
    pump()
  }

  /// Calls `handler` with the members at once and whenever they change: the mesh relays between them.
  func onMembersChanged(_ handler: @escaping @Sendable (Set<PeerID>) -> Void) {
    membersHandler = handler
    publishMembers()
  }

  /// The nodes that take part in runtime jobs now.
  var memberPeers: Set<PeerID> { Set(members.keys.map(\.peer)) }

  private func publishMembers() {
    membersVersion += 1
    hasBareMembers = members.values.contains { !$0.facts.takesStrangers }
    membersHandler?(Set(members.keys.map(\.peer)))
  }

  private static func check(_ registration: ClusterRegistration) throws {
    let labels = registration.labels
    guard labels.count <= 1024,
      labels.allSatisfy({ $0.key.utf8.count <= 512 && $0.value.utf8.count <= 512 }),
      registration.drivers.count + registration.jobs.count <= 10_000,
      registration.actors.count <= 200_000, registration.bundles.count <= 100_000
    else {
      throw IorunError(
        .tooLarge, "a node's registration holds more labels, jobs, actors or bundles than one may")
    }
  }
}
