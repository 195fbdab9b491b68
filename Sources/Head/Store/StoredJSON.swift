internal import Foundation
internal import GRDB
internal import IorunCore

/// Values that are kept as JSON text in one column: readable with any SQLite tool, and open to new
/// fields without a migration.
enum StoredJSON {
  static func text(_ value: some Encodable) throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return String(decoding: try encoder.encode(value), as: UTF8.self)
  }

  static func text(optional value: (some Encodable)?) throws -> String? {
    try value.map { try text($0) }
  }

  static func value<Value: Decodable>(_ type: Value.Type, _ text: String) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(text.utf8))
    } catch {
      throw StoreFailure.damaged("a \(type)")
    }
  }

  static func value<Value: Decodable>(optional type: Value.Type, _ text: String?) throws -> Value? {
    try text.map { try value(type, $0) }
  }
}

extension Row {
  /// A column whose text names a value, for example a peer id.
  func named<Value: LosslessStringConvertible>(_ column: String) throws -> Value {
    let text: String = self[column]
    guard let value = Value(text) else { throw StoreFailure.damaged("the \(column) '\(text)'") }
    return value
  }

  /// A column whose text is a case of an enum.
  func choice<Value: RawRepresentable<String>>(_ column: String) throws -> Value {
    let text: String = self[column]
    guard let value = Value(rawValue: text) else {
      throw StoreFailure.damaged("the \(column) '\(text)'")
    }
    return value
  }
}
