import IorunRuntime

/// One line of Ray's microbenchmark: what one call does and how many operations it counts for.
struct Line {
  let name: String
  let multiplier: Double
  /// Prepares the line and gives what is timed.
  let prepare: (Cluster) async throws -> () async throws -> Void
}

/// Ray's lines that have a meaning in Swift, under Ray's names. An actor of Swift is asynchronous by
/// nature: Ray's plain and async actors are one and the same here.
enum Lines {
  static func all(cpus: Int) -> [Line] {
    objects + tasks(cpus) + actors(cpus) + asyncActors(cpus) + groups
  }

  /// The lines of Ray's asynchronous actors whose Swift form is that of the others.
  private static func asyncActors(_ cpus: Int) -> [Line] {
    [
      "1:1 actor calls sync", "1:1 actor calls async", "1:n actor calls async",
      "n:n actor calls async",
    ]
    .compactMap { name in
      actors(cpus).first { $0.name == name }.map { line in
        Line(
          name: name.replacing("actor", with: "async-actor"), multiplier: line.multiplier,
          prepare: line.prepare)
      }
    }
  }

  private static var objects: [Line] {
    [
      Line(name: "single client get calls (Plasma Store)", multiplier: 1) { cluster in
        let ref = try await cluster.put(0)
        return { _ = try await cluster.get(ref) }
      },
      Line(name: "single client put calls (Plasma Store)", multiplier: 1) { cluster in
        { _ = try await cluster.put(0) }
      },
      Line(name: "multi client put calls (Plasma Store)", multiplier: 1000) { cluster in
        { _ = try await cluster.get(await submit(cluster, 10) { PutSmall() }) }
      },
      Line(name: "single client put gigabytes", multiplier: 0.8) { cluster in
        let numbers = [Int](repeating: 0, count: 100 << 20)
        return { _ = try await cluster.put(numbers) }
      },
      Line(name: "multi client put gigabytes", multiplier: 8) { cluster in
        { _ = try await cluster.get(await submit(cluster, 10) { PutLarge() }) }
      },
      Line(name: "single client get object containing 10k refs", multiplier: 1) { cluster in
        let ref = try await cluster.submit(ManyReferences())
        _ = try await cluster.wait([ref], count: 1)
        return { _ = try await cluster.get(ref) }
      },
      Line(name: "single client wait 1k refs", multiplier: 1) { cluster in
        {
          var rest = try await submit(cluster, 1000) { SmallValue() }
          while !rest.isEmpty { rest = try await cluster.wait(rest, count: 1).rest }
        }
      },
    ]
  }

  private static func tasks(_ cpus: Int) -> [Line] {
    [
      Line(name: "single client tasks and get batch", multiplier: 1) { cluster in
        { _ = try await cluster.get(await submit(cluster, 1000) { SmallValue() }) }
      },
      Line(name: "single client tasks sync", multiplier: 1) { cluster in
        { _ = try await cluster.submit(SmallValue()).value }
      },
      Line(name: "single client tasks async", multiplier: 1000) { cluster in
        { _ = try await cluster.get(await submit(cluster, 1000) { SmallValue() }) }
      },
      Line(name: "multi client tasks async", multiplier: 40_000) { cluster in
        var clients: [Client] = []
        for _ in 0..<4 { clients.append(try await client(cluster, [])) }
        return { [clients] in
          try await withThrowingDiscardingTaskGroup { group in
            for client in clients { group.addTask { try await client.tasks(10_000) } }
          }
        }
      },
    ]
  }

  private static func actors(_ cpus: Int) -> [Line] {
    [
      Line(name: "1:1 actor calls sync", multiplier: 1) { cluster in
        let actor = try await server(cluster)
        return { _ = try await actor.smallValue() }
      },
      Line(name: "1:1 actor calls async", multiplier: 1000) { cluster in
        let actor = try await server(cluster)
        return { try await inFlight(1000) { _ in try await actor.smallValue() } }
      },
      Line(name: "1:1 actor calls concurrent", multiplier: 1000) { cluster in
        let actor = try await server(cluster, concurrency: 16)
        return { try await inFlight(1000) { _ in try await actor.smallValue() } }
      },
      Line(name: "1:1 async-actor calls with args async", multiplier: 1000) { cluster in
        let actor = try await server(cluster)
        return { try await inFlight(1000) { try await actor.smallValue(with: $0) } }
      },
      Line(name: "1:n actor calls async", multiplier: Double(5000 * cpus)) { cluster in
        let servers = try await servers(cluster, cpus)
        let client = try await client(cluster, servers)
        return { try await client.batch(5000) }
      },
      Line(name: "n:n actor calls async", multiplier: 20_000) { cluster in
        let servers = try await servers(cluster, cpus)
        return { [servers] in
          let refs = try await submit(cluster, 4) { CallActors(actors: servers, count: 5000) }
          _ = try await cluster.get(refs)
        }
      },
      Line(name: "n:n actor calls with arg async", multiplier: Double(1000 * cpus)) { cluster in
        var clients: [Client] = []
        for server in try await servers(cluster, cpus) {
          clients.append(try await client(cluster, [server]))
        }
        return { [clients] in
          try await withThrowingDiscardingTaskGroup { group in
            for client in clients { group.addTask { try await client.batchWithArgument(1000) } }
          }
        }
      },
      Line(name: "new actor to first reply", multiplier: 1) { cluster in
        _ = try await cluster.spawn(Answerer.self, 0).smallValue()
        return { _ = try await cluster.spawn(Answerer.self, 0).smallValue() }
      },
      Line(name: "actor creation", multiplier: 1000) { cluster in
        _ = try await cluster.spawn(Answerer.self, 0).smallValue()
        return {
          var last: Answerer?
          for _ in 0..<1000 { last = try await cluster.spawn(Answerer.self, 0) }
          _ = try await last?.smallValue()
        }
      },
    ]
  }

  private static var groups: [Line] {
    [
      Line(name: "placement group create/removal", multiplier: 100) { cluster in
        {
          // As in Ray, all are asked for before the first is waited for.
          let groups = try await withThrowingTaskGroup(of: PlacementGroup.self) { tasks in
            for _ in 0..<100 {
              tasks.addTask { try await cluster.placementGroup([["CPU": 0.001]]) }
            }
            return try await tasks.reduce(into: []) { $0.append($1) }
          }
          try await withThrowingDiscardingTaskGroup { tasks in
            for group in groups { tasks.addTask { try await cluster.remove(group) } }
          }
        }
      }
    ]
  }

  private static func submit<Work: RemoteTask>(
    _ cluster: Cluster, _ count: Int, _ work: () -> Work
  ) async throws -> [ObjectRef<Work.Output>] {
    var refs: [ObjectRef<Work.Output>] = []
    refs.reserveCapacity(count)
    for _ in 0..<count { refs.append(try await cluster.submit(work())) }
    return refs
  }

  /// An actor in a process of its own, as Ray's are.
  private static func server(_ cluster: Cluster, concurrency: Int = 1) async throws -> Answerer {
    try await cluster.spawn(
      Answerer.self, 0, options: ActorOptions(maxConcurrency: concurrency, isolated: true))
  }

  private static func servers(_ cluster: Cluster, _ count: Int) async throws -> [Answerer] {
    var servers: [Answerer] = []
    for _ in 0..<count { servers.append(try await server(cluster)) }
    return servers
  }

  private static func client(_ cluster: Cluster, _ servers: [Answerer]) async throws -> Client {
    try await cluster.spawn(Client.self, servers, options: ActorOptions(isolated: true))
  }
}
