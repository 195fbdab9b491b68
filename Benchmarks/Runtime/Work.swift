import Distributed
import Foundation
import IorunRuntime

/// Ray's `small_value`: two bytes.
struct SmallValue: RemoteTask {
  func run(in context: TaskContext) async throws -> String { "ok" }
}

/// Ray's `do_put_small`: a hundred puts.
struct PutSmall: RemoteTask {
  func run(in context: TaskContext) async throws -> Int {
    for _ in 0..<100 { _ = try await context.cluster.put(0) }
    return 100
  }
}

/// Ray's `do_put`: ten puts of 80 MiB.
struct PutLarge: RemoteTask {
  func run(in context: TaskContext) async throws -> Int {
    let numbers = [Int](repeating: 0, count: 10 << 20)
    for _ in 0..<10 { _ = try await context.cluster.put(numbers) }
    return 10
  }
}

/// Ray's `create_object_containing_ref`.
struct ManyReferences: RemoteTask {
  func run(in context: TaskContext) async throws -> [ObjectRef<Int>] {
    var refs: [ObjectRef<Int>] = []
    for _ in 0..<10_000 { refs.append(try await context.cluster.put(1)) }
    return refs
  }
}

/// Ray's `work`: calls actors in turn.
struct CallActors: RemoteTask {
  let actors: [Answerer]
  let count: Int
  func run(in context: TaskContext) async throws -> Int {
    try await inFlight(count) { try await actors[$0 % actors.count].smallValue() }
    return count
  }
}

/// Ray's `Actor`.
distributed actor Answerer: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem

  init(_ start: Int, actorSystem: ClusterActorSystem) { self.actorSystem = actorSystem }

  distributed func smallValue() -> String { "ok" }
  distributed func processID() -> Int { Int(getpid()) }
  distributed func smallValue(with number: Int) -> String { "ok" }
  distributed func smallValue(of ref: ObjectRef<Int>) async throws -> String {
    _ = try await ref.value
    return "ok"
  }
}

/// Ray's `Client`: calls servers from a process of its own.
distributed actor Client: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  private let servers: [Answerer]

  init(_ servers: [Answerer], actorSystem: ClusterActorSystem) {
    self.actorSystem = actorSystem
    self.servers = servers
  }

  distributed func batch(_ count: Int) async throws {
    for server in servers { try await inFlight(count) { _ in try await server.smallValue() } }
  }

  distributed func batchWithArgument(_ count: Int) async throws {
    let cluster = try Cluster.current
    let ref = try await cluster.put(0)
    for server in servers {
      try await inFlight(count) { _ in try await server.smallValue(of: ref) }
    }
  }

  distributed func tasks(_ count: Int) async throws {
    let cluster = try Cluster.current
    var refs: [ObjectRef<String>] = []
    refs.reserveCapacity(count)
    for _ in 0..<count { refs.append(try await cluster.submit(SmallValue())) }
    _ = try await cluster.get(refs)
  }
}

/// Makes `count` calls, all outstanding at once, and waits for all.
func inFlight(_ count: Int, _ call: @escaping @Sendable (Int) async throws -> String) async throws {
  try await withThrowingDiscardingTaskGroup { group in
    for index in 0..<count { group.addTask { _ = try await call(index) } }
  }
}
