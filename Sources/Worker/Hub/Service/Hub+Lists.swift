internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunRuntime
internal import IorunWire

/// A JSON value of any kind, for lists whose items differ.
enum ListValue: Encodable {
  case text(String)
  case number(Double)
  case integer(Int64)
  case flag(Bool)
  case amounts(ResourceAmounts)

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .text(let value): try container.encode(value)
    case .number(let value): try container.encode(value)
    case .integer(let value): try container.encode(value)
    case .flag(let value): try container.encode(value)
    case .amounts(let value): try container.encode(value)
    }
  }
}

/// One task in a report: an array of mixed values.
private struct ReportedTask: Decodable {
  var id: String
  var item: TaskReports.Item

  init(from decoder: any Decoder) throws {
    var values = try decoder.unkeyedContainer()
    id = String(try values.decode(String.self).prefix(64))
    item = TaskReports.Item(
      name: String(try values.decode(String.self).prefix(256)),
      state: String(try values.decode(String.self).prefix(16)),
      attempt: try values.decode(Int.self), seconds: try values.decode(Double.self),
      worker: String(try values.decode(String.self).prefix(32)),
      errorType: String(try values.decode(String.self).prefix(256)))
    // Reporters of the version before end here.
    if !values.isAtEnd { item.parent = String(try values.decode(String.self).prefix(64)) }
    if !values.isAtEnd { item.actor = String(try values.decode(String.self).prefix(64)) }
  }
}

extension Hub {
  /// The most items that one answer lists.
  static let listLimit = 10_000

  func report(_ message: LocalMessage, _ process: HubProcess) throws {
    struct Report: Decodable { var tasks: [ReportedTask] }
    for task in try message.decode(Report.self).tasks { process.job.tasks.take(task.id, task.item) }
  }

  func listNodes(_ ask: HubRequest) {
    struct Nodes: Encodable { var nodes: [ClusterNode] }
    askHead(for: ask) {
      try await $0.clusterNodes()
    } answer: { hub, ticket, nodes in
      hub.nodes.take(nodes)
      hub.respond(ticket.connection, ticket.number, Nodes(nodes: nodes))
    }
  }

  func listResources(_ ask: HubRequest) {
    struct Sums: Encodable {
      var total: ResourceAmounts
      var available: ResourceAmounts
    }
    askHead(for: ask) {
      try await $0.clusterNodes()
    } answer: { hub, ticket, nodes in
      var sums = Sums(total: ResourceAmounts(), available: ResourceAmounts())
      for node in nodes where node.alive {
        sums.total += node.resources
        // Of its own the hub knows better what is free.
        sums.available +=
          node.node == hub.settings.node ? hub.scheduler.available : node.available
      }
      // More may be lent than there is; nobody is told of less than nothing.
      sums.available = ResourceAmounts(units: sums.available.units.filter { $0.value > 0 })
      hub.respond(ticket.connection, ticket.number, sums)
    }
  }

  /// What all nodes know of one kind of thing in the asking process's cluster.
  func list(_ message: LocalMessage, _ ask: HubRequest) throws {
    struct Wish: Decodable {
      var kind: String
      var limit: Int?
    }
    let wish = try message.decode(Wish.self)
    let limit = min(max(1, wish.limit ?? 100), Self.listLimit)
    if wish.kind == "placement-groups" {
      askHead(for: ask) {
        try await $0.groups(nil, name: nil)
      } answer: { hub, ticket, groups in
        struct Items: Encodable {
          var items: [PlacementGroupStatus]
          var truncated: Bool
        }
        hub.respond(
          ticket.connection, ticket.number,
          Items(items: Array(groups.prefix(limit)), truncated: groups.count > limit))
      }
      return
    }
    let own = try listing(wish.kind, job: nil, limit: limit + 1)
    let others = nodes.nodes.filter { $0.alive && $0.node != settings.node }.map(\.node)
    let ticket = ask.ticket
    let remotes = remotes
    let mailbox = mailbox
    let kind = wish.kind
    Task { @Sendable in
      let texts = await Self.gather(kind, from: others, limit: limit + 1, remotes)
      let all = own + texts
      let body = all.prefix(limit).joined(separator: ",")
      let text = "{\"items\":[\(body)],\"truncated\":\(all.count > limit)}"
      mailbox.post { $0.respond(ticket.connection, ticket.number, json: text.utf8) }
    }
  }

  /// How long a list waits for a node's part of it.
  private static let listPatience = Duration.seconds(5)

  /// What other nodes know of one kind of thing.
  private static func gather(
    _ kind: String, from nodes: [NodeID], limit: Int, _ remotes: HubRemotes
  ) async -> [String] {
    await withTaskGroup(of: [String].self) { group in
      for node in nodes {
        group.addTask {
          // A node that does not answer has nothing to list; `nodes` says how it stands. One that has
          // just gone must not hold up the lists of the others.
          let text = try? await MeshActorSystem.$callTimeout.withValue(Self.listPatience) {
            try await remotes.bridge(node).list(kind, job: nil, limit: limit)
          }
          return text.map(items) ?? []
        }
      }
      var texts: [String] = []
      for await more in group { texts += more }
      return texts
    }
  }

  /// The items of a JSON array's text, each as text.
  private static func items(_ text: String) -> [String] {
    guard let values = try? JSONSerialization.jsonObject(with: Data(text.utf8)) as? [Any] else {
      return []
    }
    return values.compactMap { value in
      guard JSONSerialization.isValidJSONObject(value),
        let data = try? JSONSerialization.data(withJSONObject: value)
      else { return nil }
      return String(decoding: data, as: UTF8.self)
    }
  }

  /// What this node knows, each item as JSON text.
  ///
  /// - Throws: `malformed` for another kind.
  func listing(_ kind: String, job: JobID?, limit: Int) throws -> [String] {
    var items: [[String: ListValue]] = []
    for known in jobs.values where job == nil || known.id == job {
      guard items.count < limit else { break }
      switch kind {
      case "actors": items += actorItems(known)
      case "workers": items += workerItems(known)
      case "objects": items += objectItems(known)
      case "tasks": items += taskItems(known)
      case "jobs": items += jobItems(known)
      default: throw IorunError(.malformed, "'\(kind.prefix(32))' is nothing that can be listed")
      }
    }
    return try items.prefix(limit).map {
      String(decoding: try LocalFrames.json($0), as: UTF8.self)
    }
  }

  /// Those that run here, and those without a process that were made here: so each is listed once.
  private func actorItems(_ job: HubJob) -> [[String: ListValue]] {
    let running = job.processes.values.compactMap { process -> [String: ListValue]? in
      guard let actor = process.actor else { return nil }
      return [
        "actor": .text(actor.spec.actor.description), "job": .text(job.id.description),
        "className": .text(actor.spec.className), "name": .text(actor.spec.name),
        "namespace": .text(actor.spec.namespace), "node": .text(settings.node.description),
        "worker": .text(process.worker.description), "pid": .integer(Int64(process.pid ?? 0)),
        "state": .text(actor.isReady ? "ALIVE" : "PLACED"),
        "restarts": .integer(Int64(actor.restarts)),
        "detached": .flag(actor.spec.detached), "resources": .amounts(actor.spec.demand.resources),
      ]
    }
    let others = actors.withoutProcess(of: job.id).map { record -> [String: ListValue] in
      let (spec, status) = (record.spec, record.status)
      return [
        "actor": .text(spec.actor.description), "job": .text(job.id.description),
        "className": .text(spec.className), "name": .text(spec.name),
        "namespace": .text(spec.namespace), "node": .text(status.node?.description ?? ""),
        "worker": .text(status.worker?.description ?? ""), "pid": .integer(0),
        "state": .text(status.state.rawValue), "restarts": .integer(Int64(status.restarts)),
        "detached": .flag(spec.detached), "resources": .amounts(spec.demand.resources),
        "cause": .text(status.cause?.message ?? ""),
      ]
    }
    return running + others
  }

  private func workerItems(_ job: HubJob) -> [[String: ListValue]] {
    job.processes.values.map { process in
      let kind = process.isDriver ? "DRIVER" : process.actor == nil ? "WORKER" : "ACTOR"
      return [
        "worker": .text(process.worker.description), "job": .text(job.id.description),
        "node": .text(settings.node.description), "pid": .integer(Int64(process.pid ?? 0)),
        "kind": .text(kind), "environment": .text(process.environment),
        "state": .text(process.connection == nil ? "STARTING" : "ALIVE"),
      ]
    }
  }

  private func objectItems(_ job: HubJob) -> [[String: ListValue]] {
    (job.store?.books.listing ?? []).map { item in
      [
        "object": .text(item.object.description), "job": .text(job.id.description),
        "owner": .text(item.object.owner.description), "size": .integer(item.size),
        "state": .text(item.place), "pins": .integer(Int64(item.pins)),
        "node": .text(settings.node.description),
      ]
    }
  }

  private func taskItems(_ job: HubJob) -> [[String: ListValue]] {
    job.tasks.items.map { id, item in
      [
        "task": .text(id), "job": .text(job.id.description), "name": .text(item.name),
        "state": .text(item.state), "attempt": .integer(Int64(item.attempt)),
        "seconds": .number(item.seconds), "startedAt": .number(item.startedAt ?? 0),
        "worker": .text(item.worker), "errorType": .text(item.errorType),
        "parent": .text(item.parent), "actor": .text(item.actor),
      ]
    }
  }

  private func jobItems(_ job: HubJob) -> [[String: ListValue]] {
    // The driver's node speaks for a job, so that it is listed once.
    guard job.record.driver.node == settings.node else { return [] }
    return [
      [
        "job": .text(job.id.description), "name": .text(job.record.name),
        "namespace": .text(job.record.namespace),
        "driver": .text(job.record.driver.worker.description),
        "node": .text(settings.node.description), "startedAt": .number(job.record.startedAt),
        "state": .text(job.isOver ? "ENDED" : "RUNNING"),
      ]
    ]
  }
}
