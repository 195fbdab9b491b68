internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire

/// What a process asks for with `groupCreate`.
private struct GroupWish: Decodable {
  var group: GroupID
  var bundles: [ResourceAmounts]
  var strategy: PlacementGroupSpec.Strategy?
  var maxRoundTripMilliseconds: Double?
  var labels: [[String: String]]?
  var name: String?
  var namespace: String?
  var detached: Bool?
}

/// Names a group.
private struct GroupReference: Decodable {
  var group: GroupID?
  var name: String?
  var namespace: String?
  var timeoutMilliseconds: Int?
}

/// Where a group stands, for whoever made or awaits it.
private struct GroupAnswer: Encodable {
  var state: PlacementGroupStatus.State
  var reason: String?
}

extension Hub {
  func groupCreate(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(GroupWish.self)
    let spec = PlacementGroupSpec(
      group: wish.group, job: ask.process.job.id, name: wish.name ?? "",
      namespace: wish.namespace ?? ask.process.job.record.namespace, bundles: wish.bundles,
      strategy: wish.strategy ?? .pack, maxRoundTripMilliseconds: wish.maxRoundTripMilliseconds,
      labels: wish.labels ?? [], detached: wish.detached ?? false,
      creator: ProcessAddress(node: settings.node, worker: ask.process.worker))
    askHead(for: ask) {
      try await $0.createGroup(spec)
    } answer: { hub, ticket, status in
      hub.respond(
        ticket.connection, ticket.number, GroupAnswer(state: status.state, reason: status.reason))
    }
  }

  func groupWait(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(GroupReference.self)
    guard let group = wish.group else { throw IorunError(.malformed, "groupWait lacks 'group'") }
    let wished = wish.timeoutMilliseconds ?? -1
    let deadline = wished < 0 ? nil : ContinuousClock.now + .milliseconds(min(wished, 1 << 40))
    askHead(for: ask, within: Self.patience) { cluster in
      // The head answers after a while in any case.
      while true {
        let left = deadline.map { max(0, Int(($0 - .now) / .milliseconds(1))) }
        let status = try await cluster.waitGroup(group, milliseconds: min(left ?? 50_000, 50_000))
        let isSettled = status.state == .created || status.state == .removed
        if isSettled || deadline.map({ $0 <= .now }) == true { return status }
      }
    } answer: { hub, ticket, status in
      hub.respond(
        ticket.connection, ticket.number, GroupAnswer(state: status.state, reason: status.reason))
    }
  }

  func groupRemove(_ message: LocalMessage, _ ask: HubRequest) throws {
    guard let group = try message.decode(GroupReference.self).group else {
      throw IorunError(.malformed, "groupRemove lacks 'group'")
    }
    askHead(for: ask) {
      try await $0.removeGroup(group)
    } answer: { hub, ticket, _ in
      hub.respond(ticket.connection, ticket.number, json: "{}".utf8)
    }
  }

  func groupTable(_ message: LocalMessage, _ ask: HubRequest) throws {
    struct Groups: Encodable { var groups: [PlacementGroupStatus] }
    let group = try message.decode(GroupReference.self).group
    askHead(for: ask) {
      try await $0.groups(group, name: nil)
    } answer: { hub, ticket, groups in
      hub.respond(ticket.connection, ticket.number, Groups(groups: groups))
    }
  }

  func groupNamed(_ message: LocalMessage, _ ask: HubRequest) throws {
    let wish = try message.decode(GroupReference.self)
    guard let name = wish.name, !name.isEmpty else {
      throw IorunError(.malformed, "groupNamed lacks 'name'")
    }
    let namespace = wish.namespace ?? ask.process.job.record.namespace
    askHead(for: ask) {
      try await $0.groups(nil, name: PlacementGroupName(name: name, namespace: namespace))
    } answer: { hub, ticket, groups in
      guard let group = groups.first else {
        hub.respond(
          ticket.connection, ticket.number,
          error: IorunError(
            .notFound,
            "no placement group named '\(name.prefix(64))' is in namespace "
              + "'\(namespace.prefix(64))'",
            remedy: "It may have been removed, or have its name in another namespace"))
        return
      }
      hub.respond(ticket.connection, ticket.number, group)
    }
  }

  // MARK: Bundles that lie here

  /// Gives bundles back; what runs in them ends.
  func releaseBundles(_ group: GroupID) {
    for worker in scheduler.releaseBundles(group, self) {
      end(worker, "its placement group was removed")
    }
  }
}
