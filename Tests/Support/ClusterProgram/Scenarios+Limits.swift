import Distributed
import Foundation
import IorunCore
import IorunRuntime

/// Scenarios of what goes too far, and of what holds it.
let limitScenarios: [String: @Sendable (Cluster) async throws -> Void] = [
  "recursive": { cluster in
    try await withFolder { folder in
      let family = try await cluster.submit(Parent(folder: folder, name: "a", depth: 2))
      try await until("the grandchild runs") { exists("\(folder)/a.began") }
      try await cluster.cancel(family)
      try expect(try await code { _ = try await family.value } == .cancelled)
      try await until("it was cancelled with its parents") { exists("\(folder)/a.cancelled") }

      let alone = try await cluster.submit(Parent(folder: folder, name: "b", depth: 2))
      try await until("the grandchild runs") { exists("\(folder)/b.began") }
      try await cluster.cancel(alone, recursive: false)
      try expect(try await code { _ = try await alone.value } == .cancelled)
      // What would have come to the grandchild comes before what is asked for afterwards.
      try expect(try await cluster.submit(Square(n: 4)).value == 16)
      try Data().write(to: URL(fileURLWithPath: "\(folder)/stop"))
      try await until("it went on by itself") { exists("\(folder)/b.finished") }
      try expect(!exists("\(folder)/b.cancelled"))
    }
  },
  "backpressure": { cluster in
    try await withFolder { folder in
      let count = "\(folder)/count"
      let stream = try cluster.stream(Counted(path: count))
      var values = stream.makeAsyncIterator()
      var taken = 0
      for more in [1, 10, 100] {
        for _ in 0..<more {
          try expect(try await values.next() == taken)
          taken += 1
        }
        // All that the consumer has room for, and then nothing.
        try await until("16 values are ahead of \(taken)") { try size(of: count) == taken + 16 }
        for n in 0..<20 { _ = try await cluster.submit(Square(n: n)).value }
        try expect(try size(of: count) == taken + 16, "the producer did not wait")
      }
    }
  },
  "flood": { cluster in
    _ = try await cluster.submit(Square(n: 1)).value
    let before = try peakMegabytes()
    let flood = try await cluster.submit(Flood(megabytes: 48))
    var calls = 0
    while try await cluster.wait([flood], count: 1, timeout: .zero).ready.isEmpty {
      try expect(try await cluster.submit(Square(n: 3)).value == 9)
      calls += 1
    }
    try expect(try await flood.value == 48)
    try expect(calls > 0, "nobody else was served")
    let more = try peakMegabytes() - before
    try expect(more < 40, "the driver kept \(more) MB of what a worker had printed")
  },
  "lanes": { cluster in
    for options in [ActorOptions(), ActorOptions(name: "lanes")] {
      let door = try await cluster.spawn(Door.self, 0, options: options)
      let waits = try await withThrowingTaskGroup(of: Bool.self) { group in
        // More than the one that may wait within: the others wait for it.
        for _ in 0..<3 { group.addTask { try await door.waitUntilOpen() } }
        try await until("one waits within") { try await door.waiting == 1 }
        // Neither does `look` wait for them, nor do calls of the usual lane.
        try expect(try await door.look(1, "a") == "1a")
        try await door.open()
        return try await group.reduce(into: []) { $0.append($1) }
      }
      try expect(waits == [true, true, true])
      try expect(try await door.most() == 1, "calls of one group ran at the same time")
      try await cluster.kill(door)
    }
  },
  "stillborn": { cluster in
    for options in [
      ActorOptions(isolated: true), ActorOptions(cpus: 1), ActorOptions(name: "stillborn"),
      ActorOptions(maxRestarts: 2, maxTaskRetries: 1),
    ] {
      let actor = try await cluster.spawn(Stillborn.self, 0, options: options)
      try expect(
        try await code { _ = try await actor.answer() } == .processLost, "\(options)")
    }
    // Of those that share a process with it each is told, and the next ones get another.
    let neighbour = try await cluster.spawn(Counter.self, 0)
    try expect(try await neighbour.add(1) == 1)
    let shared = try await cluster.spawn(Stillborn.self, 0)
    try expect(try await code { _ = try await shared.answer() } == .processLost)
    try expect(try await code { _ = try await neighbour.add(1) } == .processLost)
    try await until("another process takes actors") {
      let next = try? await cluster.spawn(Counter.self, 5)
      return (try? await next?.add(1)) == 6
    }
  },
]

private func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

private func size(of path: String) throws -> Int {
  (try FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0
}

/// The most memory that this process has had, in MiB. Foundation reads the first page of such a file
/// only, and the line is in it.
private func peakMegabytes() throws -> Int {
  let text = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
  guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }),
    let kilobytes = line.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
  else { throw Wrong("no VmHWM", #line) }
  return kilobytes / 1024
}

private func withFolder(_ body: (String) async throws -> Void) async throws {
  let folder = NSTemporaryDirectory() + "/\(UUID())"
  try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(atPath: folder) }
  try await body(folder)
}

private func until(_ what: String, line: Int = #line, _ holds: () async throws -> Bool)
  async throws
{
  for _ in 0..<3000 {
    if try await holds() { return }
    try await Task.sleep(for: .milliseconds(10))
  }
  throw Wrong("not within 30 s: \(what)", line)
}

/// Waits for a child, which waits for one, … which looks whether it is cancelled.
struct Parent: RemoteTask {
  var folder: String
  var name: String
  var depth: Int
  func run(in context: TaskContext) async throws -> Int {
    if depth > 0 {
      return try await context.cluster.submit(
        Parent(folder: folder, name: name, depth: depth - 1)
      ).value
    }
    func mark(_ state: String) throws {
      try Data().write(to: URL(fileURLWithPath: "\(folder)/\(name).\(state)"))
    }
    try mark("began")
    while !Task.isCancelled, !exists("\(folder)/stop") {
      // Cancelled or not, the loop looks.
      try? await Task.sleep(for: .milliseconds(5))
    }
    try mark(Task.isCancelled ? "cancelled" : "finished")
    return 0
  }
}

/// Numbers without end; a file is as long as how many were written.
struct Counted: StreamingTask {
  var path: String
  func run(in context: TaskContext, to output: StreamWriter<Int>) async throws {
    try Data().write(to: URL(fileURLWithPath: path))
    let file = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
    for value in 0... {
      try await output.write(value)
      try file.write(contentsOf: Data([0]))
    }
  }
}

/// Prints a lot.
struct Flood: RemoteTask {
  var megabytes: Int
  func run(in context: TaskContext) async throws -> Int {
    let line = Data((String(repeating: "x", count: 1023) + "\n").utf8)
    let megabyte = (0..<1024).reduce(into: Data()) { text, _ in text.append(line) }
    for _ in 0..<megabytes { try FileHandle.standardOutput.write(contentsOf: megabyte) }
    return megabytes
  }
}

/// Ends its process before it is made.
distributed actor Stillborn: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  init(_ start: Int, actorSystem: ClusterActorSystem) {
    self.actorSystem = actorSystem
    kill(getpid(), SIGKILL)
  }
  distributed func answer() -> Int { 1 }
}

/// Opens while somebody waits within.
distributed actor Door: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  static var concurrencyGroups: [ConcurrencyGroup] {
    [
      ConcurrencyGroup(methods: ["waitUntilOpen"]),
      ConcurrencyGroup(limit: 2, methods: ["look", "waiting"]),
    ]
  }

  private var isOpen = false
  private var within = 0
  private var mostWithin = 0

  init(_ start: Int, actorSystem: ClusterActorSystem) { self.actorSystem = actorSystem }

  distributed var waiting: Int { within }
  distributed func look(_ number: Int, _ text: String) -> String { "\(number)\(text)" }
  distributed func open() { isOpen = true }
  distributed func most() -> Int { mostWithin }

  distributed func waitUntilOpen() async throws -> Bool {
    within += 1
    mostWithin = max(mostWithin, within)
    defer { within -= 1 }
    while !isOpen { try await Task.sleep(for: .milliseconds(1)) }
    return true
  }
}
