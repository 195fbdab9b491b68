internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunWire

/// Lists what there is of runtime jobs: the head knows actors, groups and jobs, the nodes know their
/// processes, objects and tasks.
struct RuntimeDesk: RuntimeOverviewService {
  let director: ClusterDirector
  let head: PeerID
  let authoriser: Authoriser

  private static let mostItems = 10_000
  /// What one node is asked for at most: its answer must fit into a payload of the mesh.
  private static let mostItemsOfNode = 2_500
  private static let patience = Duration.seconds(5)

  func nodes(caller: PeerID) async throws -> [ClusterNode] {
    try authoriser.check(caller, may: .seeJobs)
    return await director.clusterNodes()
  }

  func list(_ kind: RuntimeKind, limit: Int, caller: PeerID) async throws -> RuntimeListing {
    // Programs run on nodes and have no buyer: they are their operator's business.
    guard try authoriser.check(caller, may: .seeJobs) == .operator else {
      return listing([], 1, [])
    }
    let limit = min(max(1, limit), Self.mostItems)
    switch kind {
    case .actors:
      let workers = await gather(.actors, limit: Self.mostItemsOfNode)
      return listing(
        try await director.actorItems(pids: workers.pids).map(text), limit, workers.silent)
    case .placementGroups: return listing(try await director.groupItems().map(text), limit, [])
    case .jobs: return listing(try await director.jobItems().map(text), limit, [])
    case .tasks, .objects, .workers:
      let found = await gather(kind, limit: min(limit + 1, Self.mostItemsOfNode))
      var listing = listing(found.items, limit, found.silent)
      listing.truncated = listing.truncated || found.isFull
      return listing
    }
  }

  /// What nodes answered.
  private struct Gathered {
    var items: [String] = []
    var pids: [String: Int] = [:]
    var silent: [String] = []
    var isFull = false
  }

  /// Asks all nodes at once; one that does not answer is named.
  private func gather(_ kind: RuntimeKind, limit: Int) async -> Gathered {
    let nodes = await director.clusterNodes().filter(\.alive)
    return await withTaskGroup(of: (ClusterNode, String?).self) { tasks in
      for node in nodes {
        tasks.addTask {
          (node, await self.director.ask(node.node, kind, limit: limit, within: Self.patience))
        }
      }
      var all = Gathered()
      for await (node, text) in tasks {
        guard let text, let objects = Self.objects(text) else {
          all.silent.append(node.name)
          continue
        }
        all.isFull = all.isFull || objects.count >= limit
        for var object in objects {
          if let actor = object["actor"] as? String, let pid = object["pid"] as? Int {
            all.pids[actor] = pid
          }
          object["nodeName"] = node.name
          if object["node"] == nil { object["node"] = node.node.description }
          if let data = try? JSONSerialization.data(withJSONObject: object) {
            all.items.append(String(decoding: data, as: UTF8.self))
          }
        }
      }
      return all
    }
  }

  private static func objects(_ text: String) -> [[String: Any]]? {
    (try? JSONSerialization.jsonObject(with: Data(text.utf8))) as? [[String: Any]]
  }

  private func listing(_ items: [String], _ limit: Int, _ silent: [String]) -> RuntimeListing {
    var bytes = 0
    let fitting = items.prefix(limit).prefix { item in
      bytes += item.utf8.count + 8
      return bytes <= RuntimeListing.byteLimit
    }
    return RuntimeListing(
      items: Array(fitting), truncated: fitting.count < items.count, silent: silent.sorted())
  }

  private func text(_ item: some Encodable) throws -> String {
    String(decoding: try JSONEncoder().encode(item), as: UTF8.self)
  }
}

/// An actor as a list shows it.
struct ActorItem: Encodable, Sendable {
  var actor: RuntimeActorID
  var className: String
  var name: String
  var namespace: String
  var state: RuntimeActorStatus.State
  var job: JobID
  var node: NodeID?
  var nodeName: String?
  var worker: WorkerID?
  var pid: Int?
  var restarts: Int
  var detached: Bool
  var resources: ResourceAmounts
  var cause: String?
}

/// A placement group as a list shows it.
struct GroupItem: Encodable, Sendable {
  var group: GroupID
  var name: String
  var namespace: String
  var strategy: PlacementGroupSpec.Strategy
  var state: PlacementGroupStatus.State
  var job: JobID
  var bundles: [PlacementGroupStatus.Bundle]
  var detached: Bool
  var reason: String?
}

/// A runtime job as a list shows it.
struct JobItem: Encodable, Sendable {
  var job: JobID
  var name: String
  var namespace: String
  var state: String
  var node: NodeID
  var driver: WorkerID
  var startedAt: Double
  var endedAt: Double?
  var reason: String?
}

extension ClusterDirector {
  /// What a node knows; `nil` where it does not answer in time.
  func ask(_ node: NodeID, _ kind: RuntimeKind, limit: Int, within patience: Duration) async
    -> String?
  {
    let answer = Task {
      try? await self.call(node) {
        try await $0.list(kind.rawValue, job: nil, limit: limit, caller: self.head)
      }
    }
    let timer = Task {
      try await clock.sleep(patience)
      answer.cancel()
    }
    defer { timer.cancel() }
    return await answer.value
  }

  /// All actors, the latest first.
  func actorItems(pids: [String: Int]) -> [ActorItem] {
    actors.values.sorted { $0.place > $1.place }.map { actor in
      let status = actor.status
      return ActorItem(
        actor: status.actor, className: status.className, name: status.name,
        namespace: status.namespace, state: status.state, job: status.job, node: status.node,
        nodeName: status.node.flatMap { members[$0]?.facts.name }, worker: status.worker,
        pid: actor.isPlaced ? pids[status.actor.description] : nil, restarts: status.restarts,
        detached: actor.spec.detached, resources: actor.spec.demand.resources,
        cause: status.cause?.message)
    }
  }

  /// All groups, the latest first.
  func groupItems() -> [GroupItem] {
    groups.values.sorted { $0.place > $1.place }.map { group in
      let status = group.status
      return GroupItem(
        group: status.group, name: status.name, namespace: status.namespace ?? "",
        strategy: status.strategy, state: status.state, job: status.job, bundles: status.bundles,
        detached: status.detached, reason: status.reason)
    }
  }

  /// All jobs, the latest first.
  func jobItems() -> [JobItem] {
    (Array(jobs.values) + endedJobs).sorted { $0.runtime.startedAt > $1.runtime.startedAt }
      .map { job in
        JobItem(
          job: job.runtime.job, name: job.runtime.name, namespace: job.runtime.namespace,
          state: job.endReason == nil ? "RUNNING" : "ENDED", node: job.runtime.driver.node,
          driver: job.runtime.driver.worker, startedAt: job.runtime.startedAt,
          endedAt: job.endedAt, reason: job.endReason)
      }
  }
}
