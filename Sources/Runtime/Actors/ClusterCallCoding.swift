public import Distributed
internal import IorunCore
internal import IorunWire

/// Collects the arguments of one outgoing call.
public struct ClusterCallEncoder: DistributedTargetInvocationEncoder {
  /// What arguments must be.
  public typealias SerializationRequirement = Codable & Sendable

  private let process: ClusterProcess
  private(set) var payload = Payload()

  init(process: ClusterProcess) { self.process = process }

  /// Refuses: a process must not name types for another to load.
  public mutating func recordGenericSubstitution<T>(_ type: T.Type) throws {
    throw IorunError(
      .targetNotFound, "generic distributed methods cannot be called in another process",
      remedy: "Give the method concrete parameter types")
  }

  /// Appends an argument.
  public mutating func recordArgument<Value: Codable & Sendable>(
    _ argument: RemoteCallArgument<Value>
  ) throws {
    try payload.append(argument.value, in: process)
  }

  /// Nothing to record: the caller knows what its method throws.
  public mutating func recordErrorType<E: Error>(_ type: E.Type) throws {}

  /// Nothing to record: the caller knows what its method returns.
  public mutating func recordReturnType<R: Codable & Sendable>(_ type: R.Type) throws {}

  /// Nothing to close.
  public mutating func doneRecording() throws {}
}

/// Hands out the arguments of one incoming call.
public struct ClusterCallDecoder: DistributedTargetInvocationDecoder {
  /// What arguments must be.
  public typealias SerializationRequirement = Codable & Sendable

  private var arguments: CBORDecoder
  private let objects: [ObjectHandle]

  init(_ payload: Payload, process: ClusterProcess) {
    arguments = CBORDecoder(payload.bytes, userInfo: process.userInfo)
    objects = payload.objects
  }

  /// None: generic calls do not leave a process.
  public mutating func decodeGenericSubstitutions() throws -> [any Any.Type] { [] }

  /// The next argument.
  ///
  /// - Throws: `malformed` where the bytes are no such value.
  public mutating func decodeNextArgument<Argument: Codable & Sendable>() throws -> Argument {
    try Transfer.offering(objects) { try arguments.next(Argument.self) }
  }

  /// Not sent.
  public mutating func decodeErrorType() throws -> (any Any.Type)? { nil }

  /// Not sent.
  public mutating func decodeReturnType() throws -> (any Any.Type)? { nil }
}

/// The coding of a call of a cluster's actor.
struct ClusterCallCoding: CallCoding {
  let payload: Payload
  let process: ClusterProcess

  func arguments() -> ClusterCallDecoder { ClusterCallDecoder(payload, process: process) }

  func encode<Value: Codable>(_ value: Value) throws -> Payload { try Payload(value, in: process) }
}

extension DistributedMethod {
  /// Calls the method of a cluster's actor; what the caller is to hear.
  nonisolated(nonsending) func reply(
    to arguments: Payload, by actor: any DistributedActor, in process: ClusterProcess
  ) async -> PeerReply {
    do {
      let coding = ClusterCallCoding(payload: arguments, process: process)
      return try await call(on: actor, coding).map { .value($0) } ?? .nothing
    } catch {
      let failure: any Error =
        error is ExecuteDistributedTargetError
        ? IorunError.noSuchMethod(of: "the actor", cause: error) : error
      return .failure(process.errors.encode(failure))
    }
  }
}

/// Sends the result of one incoming call back to its caller.
public struct ClusterResultHandler: DistributedTargetInvocationResultHandler {
  /// What results must be.
  public typealias SerializationRequirement = Codable & Sendable

  let call: HostedCall
  let process: ClusterProcess

  /// Sends a value.
  public func onReturn<Success: Codable & Sendable>(value: Success) async throws {
    do {
      process.actors.answer(call, .value(try Payload(value, in: process)))
    } catch {
      try await onThrow(error: error)
    }
  }

  /// Sends that a `Void` method is done.
  public func onReturnVoid() async throws { process.actors.answer(call, .nothing) }

  /// Sends an error.
  public func onThrow<Failure: Error>(error: Failure) async throws {
    let failure: any Error =
      error is ExecuteDistributedTargetError
      ? IorunError.noSuchMethod(of: "the actor", cause: error) : error
    process.actors.answer(call, .failure(process.errors.encode(failure)))
  }
}
