import Foundation
import IorunCore
import IorunRuntime
import IorunWire

/// What it finds around it, and what a task of its own does.
struct Surroundings: RemoteTask {
  var variable: String
  var file: String
  var asksChild = true
  func run(in context: TaskContext) async throws -> [String] {
    var found = [
      ProcessInfo.processInfo.environment[variable] ?? "none",
      (try? String(contentsOfFile: file, encoding: .utf8)) ?? "none",
    ]
    if asksChild {
      let child = Surroundings(variable: variable, file: file, asksChild: false)
      found += try await context.cluster.submit(child).value
    }
    return found
  }
}

/// Makes values of different types.
struct Split: RemoteTask {
  var text: String
  func run(in context: TaskContext) async throws -> Results<Int, [String], Double> {
    Results(text.count, text.split(separator: " ").map(String.init), 0.5)
  }
}

/// An array too large for a message, whose first number tells which attempt made it.
struct Made: RemoteTask {
  var count: Int
  func run(in context: TaskContext) async throws -> [Double] {
    [Double(context.attempt)] + (1..<count).map(Double.init)
  }
}

struct Pid: RemoteTask {
  func run(in context: TaskContext) async throws -> Int { Int(getpid()) }
}

/// Where tasks run, what they find there, and what becomes of their results.
let placeScenarios: [String: @Sendable (Cluster) async throws -> Void] = [
  "parts": { cluster in
    let (count, words, half) = try await cluster.submitParts(Split(text: "a bc"))
    try expect(try await count.value == 4)
    try expect(try await words.value == ["a", "bc"])
    try expect(try await half.value == 0.5)
    let whole = try await cluster.submit(Split(text: "d")).value
    try expect(whole.values.0 == 1 && whole.values.1 == ["d"])
  },
  "environment": { cluster in
    let folder = NSTemporaryDirectory() + "/\(UUID())"
    try FileManager.default.createDirectory(
      atPath: folder + "/below", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try Data("words".utf8).write(to: URL(fileURLWithPath: folder + "/below/file"))
    let environment = RuntimeEnvironment(variables: ["MOOD": "fine"], workingFolder: folder)
    let found = try await cluster.submit(
      Surroundings(variable: "MOOD", file: "below/file"),
      options: TaskOptions(environment: environment)
    ).value
    try expect(found == ["fine", "words", "fine", "words"], "\(found)")
    let plain = try await cluster.submit(
      Surroundings(variable: "MOOD", file: "below/file", asksChild: false)
    ).value
    try expect(plain == ["none", "none"], "\(plain)")
    let bad = RuntimeEnvironment(variables: ["IORUN_TOKEN": "x"])
    try expect(
      try await code {
        _ = try await cluster.submit(Pid(), options: TaskOptions(environment: bad))
      } == .specInvalid)
  },
  // A folder that is too large for a message, on a node that has none of its own to look into.
  "folder-far": { cluster in
    let own = cluster.context.node
    guard let far = try await cluster.nodes.map(\.node).first(where: { $0 != own }) else {
      throw Wrong("there is one node", #line)
    }
    let folder = NSTemporaryDirectory() + "/\(UUID())"
    try FileManager.default.createDirectory(
      atPath: folder + "/below", withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let words = String(repeating: "words ", count: 50_000)
    try Data(words.utf8).write(to: URL(fileURLWithPath: folder + "/below/file"))
    let environment = RuntimeEnvironment(workingFolder: folder)
    let options = TaskOptions(placement: .node(far), environment: environment)
    let work = Surroundings(variable: "PWD", file: "below/file", asksChild: false)
    let (near, there) = (
      try await cluster.submit(work, options: TaskOptions(environment: environment)).value,
      try await cluster.submit(work, options: options).value
    )
    try expect(near[1] == words && there[1] == words, "\(near[1].count) \(there[1].count)")
    // It has changed: another environment sees it so, in a copy of its own.
    try Data("less".utf8).write(to: URL(fileURLWithPath: folder + "/below/less"))
    let less = Surroundings(variable: "PWD", file: "below/less", asksChild: false)
    let later = RuntimeEnvironment(variables: ["B": "2"], workingFolder: folder)
    let found = try await cluster.submit(
      less, options: TaskOptions(placement: .node(far), environment: later)
    ).value
    try expect(found[1] == "less", "\(found)")
    // An actor finds it, too, where no task has brought it before.
    let counter = try await cluster.spawn(
      Counter.self, 1,
      options: ActorOptions(
        name: "in a folder", placement: .node(far),
        environment: RuntimeEnvironment(variables: ["A": "1"], workingFolder: folder)))
    try expect(try await counter.add(1) == 2)
  },
  "labels": { cluster in
    let nowhere = ["planet": "mars"]
    try expect(
      try await code {
        let ref = try await cluster.submit(Square(n: 2), options: TaskOptions(labels: nowhere))
        _ = try await ref.value
      } == .noPlacement)
    let options = TaskOptions(
      labels: nowhere, labelFallbacks: [["planet": "venus"], ["planet": "!mars"]])
    try expect(try await cluster.submit(Square(n: 3), options: options).value == 9)
    let actor = try await cluster.spawn(
      Counter.self, 1,
      options: ActorOptions(
        maxRestarts: 1, labels: nowhere, labelFallbacks: [["planet": "!mars"]]))
    try expect(try await actor.add(1) == 2)
  },
  // The agent of the node named on the line `on NAME` is killed meanwhile.
  "lineage": { cluster in
    let own = cluster.context.node
    guard let far = try await cluster.nodes.first(where: { $0.node != own }) else {
      throw Wrong("there is one node", #line)
    }
    let there = TaskOptions(placement: .node(far.node, soft: true))
    let lost = try await cluster.submit(Made(count: 200_000), options: there)
    let once = try await cluster.submit(
      Made(count: 200_000), options: TaskOptions(maxRetries: 0, placement: there.placement))
    _ = try await cluster.wait([lost, once], count: 2)
    print("on \(far.name)")
    fflush(nil)
    for _ in 0..<600 where try await cluster.nodes.filter(\.alive).count > 1 {
      try await Task.sleep(for: .milliseconds(50))
    }
    let again = try await lost.value
    try expect(again.count == 200_000 && again[0] == 1, "attempt \(again[0])")
    try expect(try await code { _ = try await once.value } == .objectLost)
  },
  // A process that holds results is killed: they are small, and lie with their owner.
  "gang": { cluster in
    for _ in 0..<20 {
      let refs = try await (0..<6).asyncMap { _ in try await cluster.submit(Nested(n: 6)) }
      try expect(try await cluster.get(refs) == Array(repeating: 91, count: 6))
    }
  },
  "running": { cluster in
    let running = try await cluster.submit(Forever(), options: TaskOptions(cpus: 2))
    let waiting = try await cluster.submit(Forever(), options: TaskOptions(cpus: 2))
    _ = try await cluster.submit(Square(n: 2), options: TaskOptions(cpus: 0)).value
    print("listed now")
    fflush(nil)
    // Until the test has seen them.
    let seen = ProcessInfo.processInfo.environment["SEEN"] ?? ""
    while !FileManager.default.fileExists(atPath: seen) {
      try await Task.sleep(for: .milliseconds(20))
    }
    try await cluster.cancel(running)
    try await cluster.cancel(waiting)
  },
  // Takes objects from the other node, one after the other, until a file `stop` lies beside it.
  "far-objects": { cluster in
    let own = cluster.context.node
    guard let node = try await cluster.nodes.map(\.node).first(where: { $0 != own }) else {
      throw Wrong("there is one node", #line)
    }
    let options = TaskOptions(placement: .node(node))
    var number = 0
    while !FileManager.default.fileExists(atPath: "stop") {
      let count = 500_000 + number % 7
      let values = try await cluster.submit(Numbers(count: count), options: options).value
      try expect(values.count == count && values.enumerated().allSatisfy { $1 == Double($0) })
      number += 1
      print("at \(number)")
      fflush(nil)
    }
  },
  "detach-far": { cluster in
    let own = cluster.context.node
    guard let node = try await cluster.nodes.map(\.node).first(where: { $0 != own }) else {
      throw Wrong("there is one node", #line)
    }
    let counter = try await cluster.spawn(
      Counter.self, 40,
      options: ActorOptions(name: "far", detached: true, placement: .node(node)))
    try expect(try await counter.add(1) == 41)
  },
  "attach-far": { cluster in
    let counter: Counter = try await cluster.actor(Counter.self, named: "far")
    try expect(try await counter.add(1) == 42)
    for number in 43...1000 { try expect(try await counter.add(1) == number) }
    try expect(try await code { try await counter.die() } == .processLost)
    try expect(try await code { _ = try await counter.add(1) } == .processLost)
  },
  // The other node does not hear of the actor, and the head dies: both are killed meanwhile.
  "promised": { cluster in
    let own = cluster.context.node
    guard let far = try await cluster.nodes.first(where: { $0.node != own }) else {
      throw Wrong("there is one node", #line)
    }
    print("the other is \(far.name)")
    fflush(nil)
    let seen = ProcessInfo.processInfo.environment["SEEN"] ?? ""
    while !FileManager.default.fileExists(atPath: seen) {
      try await Task.sleep(for: .milliseconds(20))
    }
    let counter = try await cluster.spawn(
      Counter.self, 40,
      options: ActorOptions(name: "promised", placement: .node(far.node, soft: true)))
    print("promised")
    fflush(nil)
    try expect(try await counter.add(1) == 41)
  },
  "broken-far": { cluster in
    let own = cluster.context.node
    guard let node = try await cluster.nodes.map(\.node).first(where: { $0 != own }) else {
      throw Wrong("there is one node", #line)
    }
    for options in [
      ActorOptions(name: "broken", placement: .node(node)),
      ActorOptions(placement: .node(node), isolated: true),
    ] {
      let broken = try await cluster.spawn(Counter.self, -1, options: options)
      do {
        _ = try await broken.add(1)
        throw Wrong("nothing was thrown", #line)
      } catch let error as NotTwelve {
        try expect(error.n == -1)
      }
    }
  },
]
