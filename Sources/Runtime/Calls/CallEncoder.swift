public import Distributed
internal import IorunCore
internal import IorunWire

/// Collects the arguments of one outgoing call as a CBOR sequence. An actor among them travels as its id.
public struct CallEncoder: DistributedTargetInvocationEncoder {
  /// What arguments must be.
  public typealias SerializationRequirement = Codable & Sendable

  var arguments: [UInt8] = []

  /// Refuses: a peer must not name types for another to load.
  public mutating func recordGenericSubstitution<T>(_ type: T.Type) throws {
    throw IorunError(
      .targetNotFound, "generic distributed methods cannot be called on another peer",
      remedy: "Give the method concrete parameter types")
  }

  /// Appends an argument.
  public mutating func recordArgument<Value: Codable & Sendable>(
    _ argument: RemoteCallArgument<Value>
  ) throws {
    arguments += try CBOREncoder.encode(argument.value)
  }

  /// Nothing to record: the caller knows what its method throws.
  public mutating func recordErrorType<E: Error>(_ type: E.Type) throws {}

  /// Nothing to record: the caller knows what its method returns.
  public mutating func recordReturnType<R: Codable & Sendable>(_ type: R.Type) throws {}

  /// Nothing to close.
  public mutating func doneRecording() throws {}
}
