internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import IorunWire

/// Placement groups: what nodes ask for.
extension ClusterDirector {
  func createGroup(_ spec: PlacementGroupSpec, caller: PeerID) async throws -> PlacementGroupStatus
  {
    _ = try await self.caller(caller)
    let job = try runtimeJob(spec.job)
    // The same call again, because its answer was lost.
    if let present = groups[spec.group] { return present.status }
    var spec = spec
    spec.namespace = spec.namespace ?? job.namespace
    try check(spec)
    groups[spec.group] = LiveGroup(
      spec: spec, state: .pending, nodes: Array(repeating: nil, count: spec.bundles.count),
      place: line.takePlace(), since: clock.elapsed())
    if let name = spec.fullName { groupNames[name] = spec.group }
    await reserve(spec.group)
    guard let present = groups[spec.group] else {
      return PlacementGroupStatus(spec, state: .removed, nodes: [], reason: "it was removed")
    }
    return present.status
  }

  func waitGroup(_ group: GroupID, milliseconds: Int, caller: PeerID) async throws
    -> PlacementGroupStatus
  {
    _ = try await self.caller(caller)
    let limit =
      milliseconds < 0 ? limits.groupWait : min(limits.groupWait, .milliseconds(milliseconds))
    let end = clock.elapsed() + limit
    while true {
      let listener = groupBell.listen(to: group)
      guard let present = groups[group] else { throw Self.noGroup("\(group)") }
      let left = end - clock.elapsed()
      if present.state == .created || left <= .zero || Task.isCancelled { return present.status }
      await listener.wait(atMost: left, clock)
    }
  }

  func removeGroup(_ group: GroupID, caller: PeerID) async throws {
    _ = try await self.caller(caller)
    remove(group, reason: "it was removed")
  }

  func groups(_ group: GroupID?, name: PlacementGroupName?, caller: PeerID) async throws
    -> [PlacementGroupStatus]
  {
    _ = try await self.caller(caller)
    if let id = group ?? name.flatMap({ groupNames[$0] }) {
      return groups[id].map { [$0.status] } ?? []
    }
    if let name {
      throw Self.noGroup(
        "named '\(name.name.prefix(256))' in namespace '\(name.namespace.prefix(256))'")
    }
    return groups.values.sorted { $0.place < $1.place }.map(\.status)
  }

  /// Gives a group back, wherever it stands.
  func remove(_ id: GroupID, reason: String) {
    guard let group = groups.removeValue(forKey: id) else { return }
    line.remove(.group(id))
    if let name = group.spec.fullName, groupNames[name] == id { groupNames[name] = nil }
    groupBell.ring(id)
    for node in group.indices.keys { release(id, on: node) }
    forgetIfOver(group.spec.job)
    // Whoever waits for room in it waits for nothing.
    pump()
  }

  private func check(_ spec: PlacementGroupSpec) throws {
    func refuse(_ message: String, _ remedy: String) -> IorunError {
      IorunError(.specInvalid, message, remedy: remedy)
    }
    guard groups.count < limits.groups else {
      throw IorunError(
        .overloaded, "the head keeps its most of \(limits.groups) placement groups",
        remedy: "Remove some")
    }
    guard (1...limits.bundles).contains(spec.bundles.count),
      spec.bundles.allSatisfy({ !$0.isEmpty })
    else {
      throw refuse(
        "a placement group has 1 to \(limits.bundles) bundles, none of them empty",
        "Give each bundle some resource, such as {\"CPU\": 1}")
    }
    guard spec.labels.isEmpty || spec.labels.count == spec.bundles.count else {
      throw refuse(
        "\(spec.labels.count) label selectors for \(spec.bundles.count) bundles",
        "Give one selector a bundle, or none")
    }
    guard spec.name.utf8.count <= 1024, (spec.namespace ?? "").utf8.count <= 1024 else {
      throw refuse(
        "a placement group's name or namespace is longer than 1,024 bytes", "Shorten it")
    }
    if spec.strategy == .site {
      guard let limit = spec.maxRoundTripMilliseconds, limit.isFinite, limit >= 0 else {
        throw refuse("SITE needs a longest round trip", "Give it in milliseconds")
      }
    }
    if let name = spec.fullName, groupNames[name] != nil {
      throw IorunError(
        .wrongState,
        "a placement group named '\(name.name)' exists in namespace '\(name.namespace)'",
        remedy: "Choose another name, or remove that one")
    }
    for selector in spec.labels { _ = try LabelSelector(selector) }
  }

  private static func noGroup(_ words: String) -> IorunError {
    IorunError(
      .notFound, "there is no placement group \(words)",
      remedy: "Look at `iorun list placement-groups`; removed groups are gone")
  }
}

extension PlacementGroupSpec {
  /// The name under which it is found; `nil` for a group without one.
  var fullName: PlacementGroupName? {
    name.isEmpty ? nil : PlacementGroupName(name: name, namespace: namespace ?? "")
  }
}
