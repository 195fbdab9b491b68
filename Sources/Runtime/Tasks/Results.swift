internal import IorunCore

/// What a task returns that makes several values of different types, each to be an object of its own:
///
/// ```swift
/// struct Split: RemoteTask {
///   var text: String
///   func run(in context: TaskContext) async throws -> Results<Int, [String]> {
///     Results(text.count, text.split(separator: " ").map(String.init))
///   }
/// }
/// let (count, words) = try await cluster.submitParts(Split(text: "a b"))
/// ```
public struct Results<each Value: Codable & Sendable>: Codable, Sendable {
  /// The values.
  public let values: (repeat each Value)

  /// Wraps values.
  public init(_ values: repeat each Value) { self.values = (repeat each values) }

  /// Reads them as one value: where the task was submitted for one result.
  public init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    values = (repeat try container.decode((each Value).self))
  }

  /// Writes them as one value.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.unkeyedContainer()
    repeat try container.encode(each values)
  }
}

extension Results: ResultList {
  /// How many values there are.
  static var count: Int {
    var count = 0
    for _ in repeat (each Value).self { count += 1 }
    return count
  }

  /// References to the values, of as many handles.
  static func references(_ handles: [ObjectHandle]) -> (repeat ObjectRef<each Value>) {
    var index = -1
    func next<Part: Codable & Sendable>(_ type: Part.Type) -> ObjectRef<Part> {
      index += 1
      return ObjectRef(handles[index])
    }
    return (repeat next((each Value).self))
  }

  func encoded(_ encode: (any Encodable) throws -> Payload) rethrows -> [Payload] {
    var payloads: [Payload] = []
    repeat payloads.append(try encode(each values))
    return payloads
  }
}

extension Cluster {
  /// Starts a task that makes several values of different types; each is an object of its own.
  ///
  /// - Throws: as `submit`.
  public func submitParts<Work: RemoteTask, each Value: Codable & Sendable>(
    _ task: Work, options: TaskOptions = TaskOptions()
  ) async throws -> (repeat ObjectRef<each Value>) where Work.Output == Results<repeat each Value> {
    let handles = try process.tasks.submit(
      name: Work.name, arguments: try Payload(task, in: process), options: options,
      results: Work.Output.count
    ).results
    return Work.Output.references(handles)
  }
}
