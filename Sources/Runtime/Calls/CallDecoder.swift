public import Distributed
internal import IorunWire

/// Hands out the arguments of one incoming call.
public struct CallDecoder: DistributedTargetInvocationDecoder {
  /// What arguments must be.
  public typealias SerializationRequirement = Codable & Sendable

  private var arguments: CBORDecoder

  init(arguments: [UInt8], system: MeshActorSystem) {
    self.arguments = CBORDecoder(arguments, userInfo: [.actorSystemKey: system])
  }

  /// None: generic calls do not cross the mesh.
  public mutating func decodeGenericSubstitutions() throws -> [any Any.Type] { [] }

  /// The next argument.
  ///
  /// - Throws: `malformed` where the bytes are no such value.
  public mutating func decodeNextArgument<Argument: Codable & Sendable>() throws -> Argument {
    try arguments.next(Argument.self)
  }

  /// Not sent.
  public mutating func decodeErrorType() throws -> (any Any.Type)? { nil }

  /// Not sent.
  public mutating func decodeReturnType() throws -> (any Any.Type)? { nil }
}

/// The coding of a call that came over the mesh.
struct MeshCallCoding: CallCoding {
  let call: Envelope.Call
  let system: MeshActorSystem

  func arguments() -> CallDecoder { CallDecoder(arguments: call.arguments, system: system) }

  func encode<Value: Codable>(_ value: Value) throws -> [UInt8] {
    try CBOREncoder.encode(value)
  }
}
