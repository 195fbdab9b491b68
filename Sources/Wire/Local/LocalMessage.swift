public import Foundation
public import IorunCore

/// The body of a request, response, event or note: a JSON object and an opaque blob.
public struct LocalMessage {
  /// The JSON's bytes, within the frame.
  public let json: UnsafeRawBufferPointer
  /// What follows the JSON, within the frame.
  public let blob: UnsafeRawBufferPointer

  /// Splits a body.
  ///
  /// - Throws: `malformed` where the lengths contradict each other or the JSON is nested too deeply,
  ///   `tooLarge` for a JSON part beyond its limit.
  public init(_ body: UnsafeRawBufferPointer) throws {
    guard body.count >= 4 else {
      throw IorunError(.malformed, "a message of \(body.count) bytes has no room for its length")
    }
    let count = Int(UInt32(littleEndian: body.loadUnaligned(as: UInt32.self)))
    guard count <= LocalLimits.jsonBytes else {
      throw IorunError(
        .tooLarge,
        "the JSON part of a message has \(count) bytes; at most \(LocalLimits.jsonBytes)",
        remedy: "Carry large data in the blob")
    }
    guard count <= body.count - 4 else {
      throw IorunError(
        .malformed, "a message says that its JSON has \(count) bytes, but \(body.count - 4) follow")
    }
    json = UnsafeRawBufferPointer(rebasing: body[4..<(4 + count)])
    blob = UnsafeRawBufferPointer(rebasing: body[(4 + count)...])
    guard Self.depth(of: json) <= LocalLimits.jsonDepth else {
      throw IorunError(
        .malformed, "JSON that is nested more than \(LocalLimits.jsonDepth) levels deep")
    }
  }

  /// Reads the JSON as a value.
  ///
  /// - Throws: `malformed` where it is no JSON or lacks a field; errors of iorun's own types as they
  ///   are.
  public func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try Self.decode(type, from: Data(json))
  }

  /// Reads a value from JSON bytes.
  ///
  /// - Throws: as the method of the same name.
  public static func decode<Value: Decodable>(_ type: Value.Type, from json: Data) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: json)
    } catch let error as IorunError {
      throw error
    } catch let error as DecodingError {
      throw IorunError(.malformed, Self.describe(error))
    } catch {
      throw IorunError(.malformed, "a message's JSON cannot be read", cause: error)
    }
  }

  /// How deep brackets are nested. Of something that is no JSON the answer is of no use, but it
  /// comes all the same.
  static func depth(of json: UnsafeRawBufferPointer) -> Int {
    var depth = 0
    var deepest = 0
    var isText = false
    var index = 0
    while index < json.count {
      switch json[index] {
      case UInt8(ascii: "\""): isText.toggle()
      case UInt8(ascii: "\\") where isText: index += 1
      case UInt8(ascii: "{"), UInt8(ascii: "["):
        if !isText {
          depth += 1
          deepest = max(deepest, depth)
        }
      case UInt8(ascii: "}"), UInt8(ascii: "]"): if !isText { depth -= 1 }
      default: break
      }
      index += 1
    }
    return deepest
  }

  private static func describe(_ error: DecodingError) -> String {
    func place(_ context: DecodingError.Context) -> String {
      let path = context.codingPath.map { $0.intValue.map(String.init) ?? $0.stringValue }
      return path.isEmpty ? "the message" : "'\(path.joined(separator: "."))'"
    }
    switch error {
    case .keyNotFound(let key, let context):
      return "\(place(context)) lacks '\(key.stringValue)'"
    case .valueNotFound(_, let context), .typeMismatch(_, let context):
      return "\(place(context)) has a value of the wrong kind"
    case .dataCorrupted(let context):
      return "\(place(context)) cannot be read: \(context.debugDescription)"
    @unknown default: return "a message's JSON cannot be read"
    }
  }
}

/// Builds frames.
public enum LocalFrames {
  /// Appends a frame with a JSON part and a blob.
  ///
  /// - Throws: `tooLarge` where no receiver would take it.
  public static func append(
    kind: LocalKind, aux: UInt16, number: UInt64, json: some Collection<UInt8>,
    blob: some Collection<UInt8> = EmptyCollection(), to bytes: inout [UInt8]
  ) throws {
    let body = 4 + json.count + blob.count
    guard json.count <= LocalLimits.jsonBytes,
      body <= LocalLimits.frameBytes - LocalHeader.countedBytes
    else {
      throw IorunError(
        .tooLarge, "a message of \(json.count) bytes of JSON and \(blob.count) more is too large",
        remedy: "Send it in parts, or through the object store")
    }
    bytes.reserveCapacity(bytes.count + LocalHeader.byteCount + body)
    LocalHeader(kind: kind, aux: aux, number: number, bodyCount: body).append(to: &bytes)
    withUnsafeBytes(of: UInt32(json.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: json)
    bytes.append(contentsOf: blob)
  }

  /// A value as JSON.
  ///
  /// - Throws: `internalFault` where a value has no JSON form.
  public static func json(_ value: some Encodable) throws -> Data {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.withoutEscapingSlashes]
      return try encoder.encode(value)
    } catch {
      throw IorunError(.internalFault, "a message cannot be written as JSON", cause: error)
    }
  }
}

/// An error as the local protocol writes it.
public struct LocalFailure: Codable, Sendable, Hashable {
  /// `IOR-1234`.
  public var code: String
  /// What happened.
  public var message: String
  /// What to do about it.
  public var remedy: String?

  /// Takes an error; one of another type becomes an `internalFault`.
  public init(_ error: any Error) {
    let error = error as? IorunError ?? IorunError(.internalFault, String(describing: error))
    code = error.code.description
    message = error.cause.map { "\(error.message) (\($0))" } ?? error.message
    remedy = error.remedy
  }

  /// The same as an error to throw.
  public var error: IorunError {
    let number = Int(code.dropFirst("IOR-".count)) ?? IorunError.Code.internalFault.rawValue
    return IorunError(IorunError.Code(rawValue: number), message, remedy: remedy)
  }
}
