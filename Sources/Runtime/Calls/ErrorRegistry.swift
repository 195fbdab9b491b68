internal import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Turns errors into wire form and back. `IorunError` and registered types arrive as themselves; any
/// other becomes an `IorunError` with code `remoteFailure` that names the type.
final class ErrorRegistry: Sendable {
  private typealias Decode = @Sendable ([UInt8]) throws -> any Error
  private let decoders = Mutex<[String: Decode]>([:])

  func register<Failure: Error & Codable & Sendable>(_ type: Failure.Type) {
    decoders.withLock {
      $0[String(reflecting: type)] = { try CBORDecoder.decode(Failure.self, from: $0) }
    }
  }

  func encode(_ error: any Error) -> Envelope.RemoteFailure {
    if let error = error as? IorunError {
      return Envelope.RemoteFailure(
        code: error.code.rawValue, message: error.message, remedy: error.remedy ?? "",
        cause: error.cause ?? "")
    }
    if error is CancellationError {
      return Envelope.RemoteFailure(
        code: IorunError.Code.cancelled.rawValue, message: "the remote call was cancelled")
    }
    let name = String(reflecting: type(of: error))
    var failure = Envelope.RemoteFailure(
      code: IorunError.Code.remoteFailure.rawValue, message: "\(name): \(error)")
    if decoders.withLock({ $0[name] != nil }), let error = error as? any Encodable,
      let bytes = try? CBOREncoder.encode(error)
    {
      failure.typeName = name
      failure.value = bytes
    }
    return failure
  }

  func decode(_ failure: Envelope.RemoteFailure) -> any Error {
    if !failure.typeName.isEmpty, let decode = decoders.withLock({ $0[failure.typeName] }),
      let error = try? decode(failure.value)
    {
      return error
    }
    var error = IorunError(.init(rawValue: failure.code), failure.message)
    error.remedy = failure.remedy.isEmpty ? nil : failure.remedy
    error.cause = failure.cause.isEmpty ? nil : failure.cause
    return error
  }
}
