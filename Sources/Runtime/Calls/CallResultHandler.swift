public import Distributed
internal import IorunCore
internal import IorunWire

/// Sends the result of one incoming call back to its caller.
public struct CallResultHandler: DistributedTargetInvocationResultHandler {
  /// What results must be.
  public typealias SerializationRequirement = Codable & Sendable

  let system: MeshActorSystem
  let call: InboundCall

  /// Sends a value.
  public func onReturn<Success: Codable & Sendable>(value: Success) async throws {
    do {
      let bytes = try CBOREncoder.encode(value)
      try system.reply(to: call, .value(bytes))
    } catch {
      try await onThrow(error: error)
    }
  }

  /// Sends that a `Void` method is done.
  public func onReturnVoid() async throws { try system.reply(to: call, .nothing) }

  /// Sends an error.
  public func onThrow<Failure: Error>(error: Failure) async throws {
    if error is ExecuteDistributedTargetError {
      // Not the method's own error: Swift found no such method.
      system.refuse(call, IorunError.noSuchMethod(of: call.call.actor, cause: error))
      return
    }
    try system.reply(to: call, .failure(system.errors.encode(error)))
  }
}
