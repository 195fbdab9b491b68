/// Work that runs once, anywhere in the cluster: a value that carries its arguments.
///
/// ```swift
/// struct Square: RemoteTask {
///   var n: Int
///   func run(in context: TaskContext) async throws -> Int { n * n }
/// }
/// ```
public protocol RemoteTask: Codable, Sendable {
  /// What it makes.
  associatedtype Output: Codable & Sendable
  /// The name under which it is registered and reported; the type's own where nothing else is said.
  static var name: String { get }
  /// Does the work.
  func run(in context: TaskContext) async throws -> Output
}

extension RemoteTask {
  /// The type's name with its module.
  public static var name: String { TypeNames.name(of: Self.self) }
}

/// Work that makes one value after the other, anywhere in the cluster. It is slowed down to the pace of
/// whoever takes the values.
public protocol StreamingTask: Codable, Sendable {
  /// What it makes many of.
  associatedtype Element: Codable & Sendable
  /// The name under which it is registered and reported; the type's own where nothing else is said.
  static var name: String { get }
  /// Does the work, giving each value to `output`.
  func run(in context: TaskContext, to output: StreamWriter<Element>) async throws
}

extension StreamingTask {
  /// The type's name with its module.
  public static var name: String { TypeNames.name(of: Self.self) }
}

/// A kind of work that a program can run.
struct TaskRegistration: Sendable {
  let name: String
  let run:
    @Sendable (Payload, TaskContext, ClusterProcess, InboundTask) async throws -> [TaskResult]

  static func task<Work: RemoteTask>(_ type: Work.Type) -> TaskRegistration {
    TaskRegistration(name: Work.name) { arguments, context, process, task in
      let output = try await arguments.decode(Work.self, in: process).run(in: context)
      return try await process.runner.results(of: output, for: task)
    }
  }

  static func stream<Work: StreamingTask>(_ type: Work.Type) -> TaskRegistration {
    TaskRegistration(name: Work.name) { arguments, context, process, task in
      let work = try arguments.decode(Work.self, in: process)
      try await work.run(in: context, to: StreamWriter(task: task, process: process))
      return []
    }
  }
}

/// One result of a task on its way to its owner.
enum TaskResult: Sendable {
  case value(Payload)
  case stored(StoredObject)
}
