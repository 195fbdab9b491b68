import Distributed
import Foundation
import IorunCore
import IorunRuntime
import IorunWire
import Synchronization

/// Takes numbered calls of several callers, and counts those that come before an earlier one of the
/// same caller.
distributed actor Sequence: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  private var last: [Int: Int] = [:]
  private var inversions = 0
  private var calls = 0

  init(_ start: Int, actorSystem: ClusterActorSystem) { self.actorSystem = actorSystem }

  /// The number of inversions until now.
  distributed func take(_ number: Int, of caller: Int) -> Int {
    if number <= last[caller, default: 0] { inversions += 1 }
    last[caller] = number
    calls += 1
    return inversions
  }

  distributed func count() -> Int { calls }

  distributed func process() -> Int { Int(getpid()) }

  /// Ends its process the first time, as the file tells.
  distributed func dieOnce(_ file: String) -> Int {
    if FileManager.default.createFile(atPath: file, contents: nil), !mark(file) {
      kill(getpid(), SIGKILL)
    }
    return Int(getpid())
  }

  private func mark(_ file: String) -> Bool {
    let path = file + ".died"
    guard !FileManager.default.fileExists(atPath: path) else { return true }
    _ = FileManager.default.createFile(atPath: path, contents: nil)
    return false
  }
}

/// Numbers, in the order in which they are asked for.
final class Counting: Sendable {
  private let last = Mutex(0)
  func next() -> Int {
    last.withLock { last in
      last += 1
      return last
    }
  }
}

/// Makes `count` calls of one caller, a thousand under way at any time. Each takes its number and makes
/// its call without a pause in between, so that the numbers are the order of the calls.
func pipeline(
  _ count: Int, of caller: Int, to actor: Sequence, _ progress: (Int) -> Void = { _ in }
) async throws -> Int {
  let numbers = Counting()
  return try await withThrowingTaskGroup(of: Int.self) { group in
    var inversions = 0
    for made in 0..<count {
      if made >= 1000, let found = try await group.next() { inversions = max(inversions, found) }
      group.addTask { try await actor.take(numbers.next(), of: caller) }
      progress(made)
    }
    for try await found in group { inversions = max(inversions, found) }
    return inversions
  }
}

/// Orders of calls.
let orderScenarios: [String: @Sendable (Cluster) async throws -> Void] = [
  "order": { cluster in
    for (callers, options) in [
      (1, ActorOptions(isolated: true)), (8, ActorOptions(maxRestarts: 1)),
    ] {
      let actor = try await cluster.spawn(Sequence.self, 0, options: options)
      let found = try await withThrowingTaskGroup(of: Int.self) { group in
        for caller in 1...callers {
          group.addTask { try await pipeline(100_000 / callers, of: caller, to: actor) }
        }
        return try await group.reduce(0, max)
      }
      try expect(found == 0, "\(found) inversions of \(callers) callers")
      try expect(try await actor.count() == 100_000, "calls were lost, or ran twice")
    }
  },
  // The links between the nodes break meanwhile: the test sees to that once it reads `under way`.
  "far-order": { cluster in
    let own = cluster.context.node
    guard let node = try await cluster.nodes.map(\.node).first(where: { $0 != own }) else {
      throw Wrong("there is one node", #line)
    }
    for options in [
      ActorOptions(placement: .node(node), isolated: true),
      ActorOptions(maxRestarts: 1, placement: .node(node)),
    ] {
      let actor = try await cluster.spawn(Sequence.self, 0, options: options)
      _ = try await actor.process()
      let found = try await pipeline(50_000, of: 1, to: actor) { made in
        if made == 10_000 {
          print("under way")
          fflush(nil)
        }
      }
      try expect(found == 0, "\(found) inversions")
      try expect(try await actor.count() == 50_000, "calls were lost, or ran twice")
    }
  },
  "retries": { cluster in
    let folder = NSTemporaryDirectory() + "/\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let kept = try await cluster.spawn(
      Sequence.self, 0, options: ActorOptions(name: "kept", maxRestarts: 3, maxTaskRetries: 1))
    let before = try await kept.process()
    try expect(try await kept.dieOnce(folder + "/a") != before, "it was not run again")
    // Whoever finds it by its name has the same promise.
    let found: Sequence = try await cluster.actor(Sequence.self, named: "kept")
    let between = try await found.process()
    try expect(try await found.dieOnce(folder + "/b") != between)
    // Behind a call that ends the process, all others are made again, in their order.
    let inversions = try await withThrowingTaskGroup(of: Int.self) { group in
      group.addTask {
        _ = try await kept.dieOnce(folder + "/c")
        return 0
      }
      group.addTask { try await pipeline(500, of: 1, to: kept) }
      return try await group.reduce(0, max)
    }
    try expect(inversions == 0, "\(inversions) inversions across a restart")
    let strict = try await cluster.spawn(
      Sequence.self, 0, options: ActorOptions(maxRestarts: 1))
    try expect(try await code { _ = try await strict.dieOnce(folder + "/d") } == .processLost)
    try expect(try await strict.take(1, of: 1) == 0, "it did not begin anew")
  },
]
