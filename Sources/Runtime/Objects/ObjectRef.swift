public import IorunCore
internal import IorunWire

/// Refers to a value that a task makes or that was put: from any process of the job. The value lives as
/// long as a reference to it does, and the process that made the reference.
///
/// A reference travels inside the arguments and results of tasks and actors.
public struct ObjectRef<Value: Codable & Sendable>: Sendable, Hashable {
  let handle: ObjectHandle

  init(_ handle: ObjectHandle) { self.handle = handle }

  /// The object's name.
  public var id: ObjectID { handle.id }

  /// The value, once it is there.
  ///
  /// - Throws: what the task threw; `processLost` or `objectLost` where the value is gone;
  ///   `CancellationError` when the waiting task is cancelled.
  public var value: Value {
    get async throws { try await handle.value(Value.self) }
  }

  /// True where the value, or the error instead of it, is known to this process.
  public var isReady: Bool { handle.isReady }

  /// Equal where both refer to the same object.
  public static func == (left: ObjectRef, right: ObjectRef) -> Bool { left.id == right.id }

  /// Hashes the object's name.
  public func hash(into hasher: inout Hasher) { hasher.combine(id) }
}

extension ObjectRef: Codable {
  /// Takes the reference out of the message that is being decoded.
  public init(from decoder: any Decoder) throws {
    handle = try Transfer.object(decoder.singleValueContainer().decode(Int.self))
  }

  /// Puts the reference into the message that is being encoded.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(Transfer.add(handle))
  }
}

/// A reference of any value, for waiting and cancelling.
public protocol AnyObjectRef: Sendable {
  /// The object's name.
  var id: ObjectID { get }
  /// True where the value, or the error instead of it, is known to this process.
  var isReady: Bool { get }
}

extension ObjectRef: AnyObjectRef {}
