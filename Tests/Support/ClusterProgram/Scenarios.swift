import Foundation
import IorunCore
import IorunRuntime
import IorunWire

struct Wrong: Error, CustomStringConvertible {
  var description: String
  init(_ text: String, _ line: Int) { description = "line \(line): \(text)" }
}

func expect(_ holds: Bool, _ text: String = "does not hold", line: Int = #line) throws {
  if !holds { throw Wrong(text, line) }
}

/// Runs `body`, which must throw; the code of the error, where it is one of iorun's.
func code(line: Int = #line, of body: () async throws -> Void) async throws -> IorunError.Code {
  do {
    try await body()
  } catch let error as IorunError {
    return error.code
  } catch is CancellationError {
    return .cancelled
  }
  throw Wrong("nothing was thrown", line)
}

/// All scenarios, by the name that the program is given.
let allScenarios = [orderScenarios, placeScenarios, limitScenarios].reduce(scenarios) {
  $0.merging($1) { $1 }
}

/// What is checked of one node, and a little of several.
let scenarios: [String: @Sendable (Cluster) async throws -> Void] = [
  "tasks": { cluster in
    let refs = try await (0..<200).asyncMap { try await cluster.submit(Square(n: $0)) }
    try expect(try await cluster.get(refs) == (0..<200).map { $0 * $0 })
    let sum = try await cluster.submit(Add(left: refs[3], right: try await cluster.put(5)))
    try expect(try await sum.value == 14)
    let halves: [ObjectRef<String>] = try await cluster.submit(Halves(text: "abcd"), results: 2)
    try expect(try await cluster.get(halves) == ["ab", "cd"])
    try expect(try await cluster.submit(Nested(n: 12)).value == 650)
    // Behind many short ones, long tasks do not all wait for one worker.
    for _ in 0..<500 { _ = try await cluster.submit(Square(n: 1)).value }
    let folder = NSTemporaryDirectory() + "/\(UUID())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let meetings = try await (0..<2).asyncMap { index in
      try await cluster.submit(Meet(folder: folder, index: index))
    }
    try expect(try await cluster.get(meetings) == [true, true], "long tasks ran after each other")
    let (ready, rest) = try await cluster.wait(refs, count: 3)
    try expect(ready.count == 3 && rest.count == 197)
  },
  "errors": { cluster in
    do {
      _ = try await cluster.submit(Refuse(n: 7)).value
      throw Wrong("nothing was thrown", #line)
    } catch let error as NotTwelve {
      try expect(error.n == 7)
    }
    try expect(
      try await code {
        let ref = try await cluster.submit(
          Square(n: 1), options: TaskOptions(resources: ["nowhere": 1]))
        _ = try await ref.value
      } == .noPlacement)
    try expect(
      try await code {
        let ref = try await cluster.submit(
          DieUntil(attempt: 9), options: TaskOptions(maxRetries: 1))
        _ = try await ref.value
      } == .processLost)
    try expect(try await cluster.submit(DieUntil(attempt: 2)).value == 2)
  },
  "cancel": { cluster in
    let running = try await cluster.submit(Forever())
    try expect(
      try await code { _ = try await cluster.get(running, timeout: .milliseconds(300)) }
        == .timedOut)
    try await cluster.cancel(running)
    try expect(try await code { _ = try await running.value } == .cancelled)
    let deaf = try await cluster.submit(Deaf())
    _ = try await cluster.wait([deaf], count: 1, timeout: .milliseconds(300))
    try await cluster.cancel(deaf, force: true)
    try expect(try await code { _ = try await deaf.value } == .cancelled)
    try expect(try await cluster.submit(Square(n: 4)).value == 16)
  },
  "streams": { cluster in
    var values: [Int] = []
    for try await value in try cluster.stream(Produce(n: 1000)) { values.append(value) }
    try expect(values == Array(0..<1000))
    for try await value in try cluster.stream(Produce(n: .max)) where value == 100 { break }
    try expect(try await cluster.submit(Square(n: 5)).value == 25, "the stream was not ended")
  },
  "objects": { cluster in
    let numbers = try await cluster.submit(Numbers(count: 1_000_000))
    try expect(try await numbers.value.reduce(0, +) == 499_999_500_000)
    let put = try await cluster.put(Array(0..<1_000_000))
    try expect(try await put.value.count == 1_000_000)
    let counter = try await cluster.spawn(Counter.self, 0)
    try expect(try await counter.sum(of: put) == 499_999_500_000)
    let inner = try await cluster.submit(References(count: 500)).value
    try expect(try await cluster.get(inner) == Array(0..<500))
  },
  "actors": { cluster in
    let counter = try await cluster.spawn(Counter.self, 0)
    var inversions = 0
    for number in 1...20_000 where try await !counter.follows(number) { inversions += 1 }
    try expect(inversions == 0, "\(inversions) inversions")
    let alone = try await withThrowingTaskGroup(of: Bool.self) { group in
      for _ in 0..<50 { group.addTask { try await counter.alone() } }
      return try await group.allSatisfy { $0 }
    }
    try expect(alone, "two calls ran at the same time")
    try expect(try await cluster.submit(Call(counter: counter)).value == 20_001)
    var many: [Counter] = []
    for start in 0..<2000 { many.append(try await cluster.spawn(Counter.self, start)) }
    for start in [0, 999, 1999] { try expect(try await many[start].add(1) == start + 1) }
    try expect(try await many[0].process() == many[1999].process(), "not in one process")
    try await cluster.kill(many[5])
    try expect(try await code { _ = try await many[5].add(1) } == .actorNotFound)
    let broken = try await cluster.spawn(Counter.self, -1)
    for _ in 0..<2 {
      do {
        _ = try await broken.add(1)
        throw Wrong("nothing was thrown", #line)
      } catch let error as NotTwelve {
        try expect(error.n == -1)
      }
    }
    let own = try await cluster.spawn(Counter.self, 0, options: ActorOptions(cpus: 1))
    try expect(try await own.process() != many[0].process())
    try expect(try await code { try await own.die() } == .processLost)
  },
  "named": { cluster in
    let options = ActorOptions(name: "c", getIfExists: true, maxRestarts: 1)
    let counter = try await cluster.spawn(Counter.self, 10, options: options)
    try expect(try await counter.add(1) == 11)
    let same = try await cluster.spawn(Counter.self, 0, options: options)
    try expect(try await same.add(1) == 12)
    let found: Counter = try await cluster.actor(Counter.self, named: "c")
    try expect(try await found.add(1) == 13)
    try expect(try await cluster.submit(Call(counter: counter)).value == 14)
    try expect(try await code { try await counter.die() } == .processLost)
    try expect(try await counter.add(1) == 11, "it was not started anew")
    try await cluster.kill(counter)
    try expect(try await code { _ = try await counter.add(1) } == .processLost)
    try expect(
      try await code { let _: Counter = try await cluster.actor(Counter.self, named: "none") }
        == .notFound)
  },
  "detach": { cluster in
    let counter = try await cluster.spawn(
      Counter.self, 40, options: ActorOptions(name: "kept", detached: true))
    try expect(try await counter.add(1) == 41)
  },
  "attach": { cluster in
    let counter: Counter = try await cluster.actor(Counter.self, named: "kept")
    try expect(try await counter.add(1) == 42)
    try await cluster.kill(counter)
  },
  "nodes": { cluster in
    let nodes = try await cluster.nodes.map(\.node)
    try expect(nodes.count > 1, "there is one node")
    let numbers = try await cluster.put(Array(0..<100_000))
    for node in nodes {
      let here = Placement.node(node)
      let ref = try await cluster.submit(Square(n: 3), options: TaskOptions(placement: here))
      try expect(try await ref.value == 9)
      let counter = try await cluster.spawn(
        Counter.self, 0, options: ActorOptions(placement: here))
      try expect(try await counter.add(1) == 1)
      try expect(try await counter.sum(of: numbers) == 4_999_950_000)
      let away = try await cluster.submit(
        Numbers(count: 100_000), options: TaskOptions(placement: here))
      try expect(try await away.value.count == 100_000)
      let refs = try await cluster.submit(
        References(count: 50), options: TaskOptions(placement: here))
      try expect(try await cluster.get(try await refs.value) == Array(0..<50))
      for number in 2...2000 { try expect(try await counter.follows(number), "an inversion") }
      let called = try await cluster.submit(
        Call(counter: counter), options: TaskOptions(placement: .spread))
      try expect(try await called.value == 2001)
      let named = try await cluster.spawn(
        Counter.self, 0, options: ActorOptions(maxRestarts: 1, placement: here))
      try expect(try await named.add(2) == 2)
    }
  },
  "gpus": { cluster in
    try expect(try await cluster.resources["GPU"] == 3 && cluster.context.gpus == [])
    let names = ["anna", "ben"]
    for name in names {
      _ = try await cluster.spawn(
        Counter.self, 0, options: ActorOptions(name: name, detached: true))
    }
    let found = try await cluster.namedActors()
    try expect(Set(found.map(\.name)) == Set(names) && found[0].namespace == "check")
    for name in names {
      try await cluster.kill(try await cluster.actor(Counter.self, named: name) as Counter)
    }
    // Each is told its own, and the program's libraries see no others.
    let own = try await cluster.submit(Devices(), options: TaskOptions(gpus: 2)).value
    try expect(own.count == 2 && Set(own).isSubset(of: [0, 1, 2]), "\(own)")
    let watcher = try await cluster.spawn(Watcher.self, 0, options: ActorOptions(gpus: 1))
    let held = try await watcher.devices()
    try expect(held.count == 1, "\(held)")
    let named = try await cluster.spawn(
      Watcher.self, 0, options: ActorOptions(name: "w", maxRestarts: 1, gpus: 1))
    let other = try await named.devices()
    try expect(other.count == 1 && other != held, "\(held) \(other)")
    let rest = try await cluster.submit(Devices(), options: TaskOptions(gpus: 1)).value
    try expect(Set(rest + held + other) == [0, 1, 2], "\(rest) \(held) \(other)")
    try expect(try await cluster.submit(Devices()).value == [])
  },
  "groups": { cluster in
    let group = try await cluster.placementGroup([["CPU": 1]])
    let ref = try await cluster.submit(
      Square(n: 3), options: TaskOptions(placement: .group(group, bundle: 0)))
    try expect(try await ref.value == 9)
    try await cluster.remove(group)
    try expect(
      try await code { _ = try await cluster.placementGroup([["nowhere": 1]]) } == .noPlacement)
    let named = try await cluster.placementGroup([["CPU": 1]], name: "g")
    try expect(try await cluster.placementGroup(named: "g") == named)
    try expect(
      try await code { _ = try await cluster.placementGroup(named: "g", namespace: "other") }
        == .notFound)
    try expect(
      try await code { _ = try await cluster.placementGroup([["CPU": 1]], name: "g") }
        == .wrongState)
    let other = try await cluster.placementGroup([["CPU": 1]], name: "g", namespace: "other")
    try expect(try await cluster.placementGroup(named: "g", namespace: "other") == other)
    try await cluster.remove(named)
    try await cluster.remove(other)
    try expect(try await !cluster.nodes.isEmpty)
  },
]

extension Range<Int> {
  func asyncMap<Value>(_ body: (Int) async throws -> Value) async rethrows -> [Value] {
    var values: [Value] = []
    for element in self { values.append(try await body(element)) }
    return values
  }
}
