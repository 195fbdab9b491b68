internal import Foundation
internal import IorunCore

/// Encodes `Encodable` values as CBOR (RFC 8949): compact, self-describing, readable by any language.
///
/// `Data` and `[UInt8]` travel as byte strings, `[Float]` and `[Double]` as typed arrays (RFC 8746),
/// so that a gradient costs a copy and not a call per number.
public enum CBOREncoder {
  /// Encodes one value as one item.
  ///
  /// - Throws: what the value's `encode(to:)` throws; `tooLarge` for nesting beyond
  ///   `WireLimits.codecDepth`.
  public static func encode<Value: Encodable>(
    _ value: Value, userInfo: [CodingUserInfoKey: Any] = [:]
  ) throws -> [UInt8] {
    let writer = CBORWriter()
    try ItemEncoder(writer: writer, userInfo: userInfo).encode(value)
    return writer.bytes
  }
}

/// Encodes one item at the writer's present position.
struct ItemEncoder: Encoder {
  let writer: CBORWriter
  let userInfo: [CodingUserInfoKey: Any]
  var codingPath: [any CodingKey] { [] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    KeyedEncodingContainer(MapEncoder(encoder: self, opening: writer.open(.map)))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    ArrayEncoder(encoder: self, opening: writer.open(.array))
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { ValueEncoder(encoder: self) }

  /// Encodes a value and closes whatever it opened.
  func encode<Value: Encodable>(_ value: Value) throws {
    let depth = writer.depth
    guard depth < WireLimits.codecDepth else {
      throw IorunError(.tooLarge, "a value is nested deeper than \(WireLimits.codecDepth) levels")
    }
    // Types are compared before the cast, which costs more than encoding a number.
    if Value.self == Data.self, let data = value as? Data {
      data.withUnsafeBytes { writer.byteString($0) }
    } else if Value.self == [UInt8].self, let bytes = value as? [UInt8] {
      bytes.withUnsafeBytes { writer.byteString($0) }
    } else if Value.self == [Float].self, let floats = value as? [Float] {
      floats.withUnsafeBytes { writer.typedArray(tag: CBORTag.float32LittleEndian, $0) }
    } else if Value.self == [Double].self, let doubles = value as? [Double] {
      doubles.withUnsafeBytes { writer.typedArray(tag: CBORTag.float64LittleEndian, $0) }
    } else {
      let start = writer.bytes.count
      try value.encode(to: self)
      // A type that asks for no container, such as a struct without properties, is an empty map.
      if writer.bytes.count == start { _ = writer.open(.map) }
    }
    writer.close(to: depth)
  }

  /// Makes the container current again before it writes.
  func resume(_ opening: Int, at depth: Int) throws {
    guard writer.resume(opening, at: depth) else {
      throw IorunError(.internalFault, "an encoding container was used after it was closed")
    }
  }
}

/// A map under construction.
struct MapEncoder<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let encoder: ItemEncoder
  let opening: Int
  let depth: Int
  var codingPath: [any CodingKey] { [] }

  init(encoder: ItemEncoder, opening: Int) {
    self.encoder = encoder
    self.opening = opening
    depth = encoder.writer.depth
  }

  private func key(_ key: some CodingKey) throws -> CBORWriter {
    try encoder.resume(opening, at: depth)
    encoder.writer.string(key.stringValue)
    return encoder.writer
  }

  func encodeNil(forKey key: Key) throws { try self.key(key).simple(22) }
  func encode(_ value: Bool, forKey key: Key) throws { try self.key(key).simple(value ? 21 : 20) }
  func encode(_ value: String, forKey key: Key) throws { try self.key(key).string(value) }
  func encode(_ value: Double, forKey key: Key) throws { try self.key(key).double(value) }
  func encode(_ value: Float, forKey key: Key) throws { try self.key(key).float(value) }
  func encode(_ value: Int, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: Int8, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: Int16, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: Int32, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: Int64, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: UInt, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: UInt8, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: UInt16, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: UInt32, forKey key: Key) throws { try self.key(key).integer(value) }
  func encode(_ value: UInt64, forKey key: Key) throws { try self.key(key).integer(value) }

  func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    _ = try self.key(key)
    try encoder.encode(value)
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key)
    -> KeyedEncodingContainer<Nested>
  {
    nest(key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    nest(key).unkeyedContainer()
  }

  func superEncoder() -> any Encoder { nest(SuperKey()) }
  func superEncoder(forKey key: Key) -> any Encoder { nest(key) }

  private func nest(_ key: some CodingKey) -> ItemEncoder {
    // The protocol lets this method throw nothing: a container that was closed before notices at
    // its next plain write.
    if encoder.writer.resume(opening, at: depth) { encoder.writer.string(key.stringValue) }
    return encoder
  }
}

/// An array under construction.
struct ArrayEncoder: UnkeyedEncodingContainer {
  let encoder: ItemEncoder
  let opening: Int
  let depth: Int
  private(set) var count = 0
  var codingPath: [any CodingKey] { [] }

  init(encoder: ItemEncoder, opening: Int) {
    self.encoder = encoder
    self.opening = opening
    depth = encoder.writer.depth
  }

  private mutating func element() throws -> CBORWriter {
    try encoder.resume(opening, at: depth)
    count += 1
    return encoder.writer
  }

  mutating func encodeNil() throws { try element().simple(22) }
  mutating func encode(_ value: Bool) throws { try element().simple(value ? 21 : 20) }
  mutating func encode(_ value: String) throws { try element().string(value) }
  mutating func encode(_ value: Double) throws { try element().double(value) }
  mutating func encode(_ value: Float) throws { try element().float(value) }
  mutating func encode(_ value: Int) throws { try element().integer(value) }
  mutating func encode(_ value: Int8) throws { try element().integer(value) }
  mutating func encode(_ value: Int16) throws { try element().integer(value) }
  mutating func encode(_ value: Int32) throws { try element().integer(value) }
  mutating func encode(_ value: Int64) throws { try element().integer(value) }
  mutating func encode(_ value: UInt) throws { try element().integer(value) }
  mutating func encode(_ value: UInt8) throws { try element().integer(value) }
  mutating func encode(_ value: UInt16) throws { try element().integer(value) }
  mutating func encode(_ value: UInt32) throws { try element().integer(value) }
  mutating func encode(_ value: UInt64) throws { try element().integer(value) }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    _ = try element()
    try encoder.encode(value)
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type)
    -> KeyedEncodingContainer<Nested>
  {
    nest().container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    nest().unkeyedContainer()
  }

  mutating func superEncoder() -> any Encoder { nest() }

  private mutating func nest() -> ItemEncoder {
    count += 1
    _ = encoder.writer.resume(opening, at: depth)
    return encoder
  }
}

/// One value without a container around it.
struct ValueEncoder: SingleValueEncodingContainer {
  let encoder: ItemEncoder
  var codingPath: [any CodingKey] { [] }

  func encodeNil() throws { encoder.writer.simple(22) }
  func encode(_ value: Bool) throws { encoder.writer.simple(value ? 21 : 20) }
  func encode(_ value: String) throws { encoder.writer.string(value) }
  func encode(_ value: Double) throws { encoder.writer.double(value) }
  func encode(_ value: Float) throws { encoder.writer.float(value) }
  func encode(_ value: Int) throws { encoder.writer.integer(value) }
  func encode(_ value: Int8) throws { encoder.writer.integer(value) }
  func encode(_ value: Int16) throws { encoder.writer.integer(value) }
  func encode(_ value: Int32) throws { encoder.writer.integer(value) }
  func encode(_ value: Int64) throws { encoder.writer.integer(value) }
  func encode(_ value: UInt) throws { encoder.writer.integer(value) }
  func encode(_ value: UInt8) throws { encoder.writer.integer(value) }
  func encode(_ value: UInt16) throws { encoder.writer.integer(value) }
  func encode(_ value: UInt32) throws { encoder.writer.integer(value) }
  func encode(_ value: UInt64) throws { encoder.writer.integer(value) }
  func encode<Value: Encodable>(_ value: Value) throws { try encoder.encode(value) }
}

/// The key under which a subclass keeps its superclass.
struct SuperKey: CodingKey {
  var stringValue: String { "super" }
  var intValue: Int? { nil }
  init() {}
  init?(stringValue: String) { return nil }
  init?(intValue: Int) { return nil }
}
