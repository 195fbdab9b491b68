import Distributed
import Foundation
import IorunCore
import IorunRuntime

struct Square: RemoteTask {
  var n: Int
  func run(in context: TaskContext) async throws -> Int { n * n }
}

struct Add: RemoteTask {
  var left: ObjectRef<Int>
  var right: ObjectRef<Int>
  func run(in context: TaskContext) async throws -> Int {
    try await left.value + right.value
  }
}

struct Halves: RemoteTask {
  var text: String
  func run(in context: TaskContext) async throws -> [String] {
    let middle = text.index(text.startIndex, offsetBy: text.count / 2)
    return [String(text[..<middle]), String(text[middle...])]
  }
}

struct NotTwelve: Error, Codable, Sendable, Equatable { var n: Int }

struct Refuse: RemoteTask {
  var n: Int
  func run(in context: TaskContext) async throws -> Int { throw NotTwelve(n: n) }
}

/// Sums the squares of 1...n by tasks of its own.
struct Nested: RemoteTask {
  var n: Int
  func run(in context: TaskContext) async throws -> Int {
    guard n > 0 else { return 0 }
    let below = try await context.cluster.submit(Nested(n: n - 1))
    let square = try await context.cluster.submit(Square(n: n))
    return try await below.value + square.value
  }
}

/// Ends its process the first times it runs.
struct DieUntil: RemoteTask {
  var attempt: Int
  func run(in context: TaskContext) async throws -> Int {
    if context.attempt < attempt { kill(getpid(), SIGKILL) }
    return context.attempt
  }
}

/// The GPUs that it was told of, which are those that a library would see.
struct Devices: RemoteTask {
  func run(in context: TaskContext) async throws -> [Int] { try Self.seen(context.cluster) }

  static func seen(_ cluster: Cluster) throws -> [Int] {
    let told = cluster.context.gpus
    let visible = getenv("CUDA_VISIBLE_DEVICES").map { String(cString: $0) } ?? ""
    guard visible == told.map(String.init).joined(separator: ",") else {
      throw Wrong("told of \(told), and sees '\(visible)'", #line)
    }
    return told
  }
}

distributed actor Watcher: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  init(_ start: Int, actorSystem: ClusterActorSystem) async throws {
    self.actorSystem = actorSystem
  }
  distributed func devices() throws -> [Int] { try Devices.seen(try Cluster.current) }
}

struct Forever: RemoteTask {
  func run(in context: TaskContext) async throws -> Int {
    while true { try await Task.sleep(for: .milliseconds(5)) }
  }
}

/// Never looks whether it is cancelled.
struct Deaf: RemoteTask {
  func run(in context: TaskContext) async throws -> Int {
    while true { usleep(10_000) }
  }
}

/// Ends when two of its kind run at the same time, without giving its thread away.
struct Meet: RemoteTask {
  var folder: String
  var index: Int
  func run(in context: TaskContext) async throws -> Bool {
    guard FileManager.default.createFile(atPath: "\(folder)/\(index)", contents: nil) else {
      return false
    }
    for _ in 0..<2000 {
      if try FileManager.default.contentsOfDirectory(atPath: folder).count == 2 { return true }
      usleep(10_000)
    }
    return false
  }
}

struct Numbers: RemoteTask {
  var count: Int
  func run(in context: TaskContext) async throws -> [Double] {
    (0..<count).map(Double.init)
  }
}

struct References: RemoteTask {
  var count: Int
  func run(in context: TaskContext) async throws -> [ObjectRef<Int>] {
    var refs: [ObjectRef<Int>] = []
    for index in 0..<count { refs.append(try await context.cluster.put(index)) }
    return refs
  }
}

struct Produce: StreamingTask {
  var n: Int
  func run(in context: TaskContext, to output: StreamWriter<Int>) async throws {
    for value in 0..<n { try await output.write(value) }
  }
}

distributed actor Counter: SpawnableActor {
  typealias ActorSystem = ClusterActorSystem
  private var count: Int
  private var isBusy = false

  init(_ start: Int, actorSystem: ClusterActorSystem) throws {
    guard start >= 0 else { throw NotTwelve(n: start) }
    self.actorSystem = actorSystem
    count = start
  }

  distributed func add(_ n: Int) -> Int {
    count += n
    return count
  }

  /// True where the calls came in order: each gives the number of the one before.
  distributed func follows(_ number: Int) -> Bool {
    defer { count = number }
    return count == number - 1
  }

  /// True where no other call ran at the same time.
  distributed func alone() async throws -> Bool {
    guard !isBusy else { return false }
    isBusy = true
    try await Task.sleep(for: .milliseconds(1))
    isBusy = false
    return true
  }

  distributed func sum(of ref: ObjectRef<[Int]>) async throws -> Int {
    try await ref.value.reduce(0, +)
  }

  distributed func process() -> Int { Int(getpid()) }
  distributed func die() { kill(getpid(), SIGKILL) }
  distributed func refuse() throws { throw NotTwelve(n: count) }
}

/// Calls a counter that it is given.
struct Call: RemoteTask {
  var counter: Counter
  func run(in context: TaskContext) async throws -> Int { try await counter.add(1) }
}
