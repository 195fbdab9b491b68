internal import Foundation
internal import IorunCore

/// What `--json` prints: one object on one line, its keys sorted and in snake_case. `docs/JSON.md`
/// lists the objects.
public enum JSONOutput {
  /// The line, with its end. Throws `internalFault` where a view cannot be written.
  public static func line(_ view: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return String(decoding: try encoder.encode(view), as: UTF8.self) + "\n"
    } catch {
      throw IorunError(
        .internalFault, "the result could not be written as JSON",
        remedy: "Leave out --json and report this", cause: error)
    }
  }
}
