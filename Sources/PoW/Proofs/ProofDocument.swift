public import Foundation
internal import IorunCore

/// Challenges, commitments, openings, proofs and verdicts as JSON (`docs/POW.md`).
public enum ProofDocument {
  /// The largest document that is read.
  public static let maximumByteCount = 16 << 20

  /// One object, its keys sorted, with a line's end. Throws `internalFault`.
  public static func encode(_ value: some Encodable) throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    do {
      return try encoder.encode(value) + Data("\n".utf8)
    } catch {
      throw IorunError(.internalFault, "a document could not be written as JSON", cause: error)
    }
  }

  /// Reads one object; it may come from anybody. Throws `tooLarge`, `malformed` or
  /// `versionMismatch`.
  public static func decode<Value: Decodable>(_ type: Value.Type, from data: Data) throws -> Value {
    guard data.count <= maximumByteCount else {
      throw IorunError(
        .tooLarge, "a document of \(data.count) bytes; \(maximumByteCount) are the most",
        remedy: "Check that it is the right file")
    }
    do {
      return try JSONDecoder().decode(type, from: data)
    } catch let error as IorunError {
      throw error
    } catch {
      throw IorunError(
        .malformed, "the document is no \(type) of \(Challenge.version)",
        remedy: "Check that it is the right file, and whole", cause: error)
    }
  }
}
