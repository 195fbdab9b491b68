internal import IorunCore

/// A map's entries by key.
struct MapDecoder<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let decoder: ItemDecoder
  private let entries: [String: Int]
  var codingPath: [any CodingKey] { [] }

  init(_ decoder: ItemDecoder) throws {
    self.decoder = decoder
    var reader = decoder.reader
    let head = try reader.head()
    guard head.major == .map else { throw decoder.mismatch("a map") }
    var entries: [String: Int] = [:]
    var left = head.argument
    while left.map({ $0 > 0 }) ?? !reader.isAtBreak {
      let key = try decoder.at(reader.offset).decode(String.self)
      try reader.skip()
      guard entries.updateValue(reader.offset, forKey: key) == nil else {
        throw IorunError(.malformed, "a map has the key '\(key.prefix(64))' twice")
      }
      try reader.skip()
      left? -= 1
    }
    self.entries = entries
  }

  var allKeys: [Key] { entries.keys.compactMap { Key(stringValue: $0) } }

  func contains(_ key: Key) -> Bool { entries[key.stringValue] != nil }

  private func value(_ key: some CodingKey) throws -> ItemDecoder {
    guard let offset = entries[key.stringValue] else {
      throw IorunError(.malformed, "a map lacks the key '\(key.stringValue)'")
    }
    return decoder.at(offset)
  }

  func decodeNil(forKey key: Key) throws -> Bool { try value(key).decodeNil() }
  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try value(key).decode(type) }
  func decode(_ type: String.Type, forKey key: Key) throws -> String {
    try value(key).decode(type)
  }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double {
    try value(key).decode(type)
  }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try value(key).decode(type) }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try value(key).decode(type) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try value(key).decode(type) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try value(key).decode(type) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try value(key).decode(type) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try value(key).decode(type) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try value(key).decode(type) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try value(key).decode(type) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 {
    try value(key).decode(type)
  }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 {
    try value(key).decode(type)
  }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 {
    try value(key).decode(type)
  }
  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try value(key).decode(type)
  }

  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws
    -> KeyedDecodingContainer<Nested>
  {
    try value(key).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try value(key).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { try value(SuperKey()) }
  func superDecoder(forKey key: Key) throws -> any Decoder { try value(key) }
}

/// An array's elements in order.
struct ArrayDecoder: UnkeyedDecodingContainer {
  private let decoder: ItemDecoder
  private var reader: CBORReader
  private let elements: Int
  private(set) var currentIndex = 0
  var codingPath: [any CodingKey] { [] }
  var count: Int? { elements }
  var isAtEnd: Bool { currentIndex >= elements }

  init(_ decoder: ItemDecoder) throws {
    self.decoder = decoder
    reader = decoder.reader
    let head = try reader.head()
    guard head.major == .array else { throw decoder.mismatch("an array") }
    if let count = head.argument {
      elements = Int(clamping: count)
    } else {
      var ahead = reader
      var count = 0
      while !ahead.isAtBreak {
        try ahead.skip()
        count += 1
      }
      elements = count
    }
  }

  private mutating func next() throws -> ItemDecoder {
    guard !isAtEnd else { throw IorunError(.malformed, "an array has too few elements") }
    let element = decoder.at(reader.offset)
    try reader.skip()
    currentIndex += 1
    return element
  }

  mutating func decodeNil() throws -> Bool {
    guard !isAtEnd else { throw IorunError(.malformed, "an array has too few elements") }
    guard decoder.at(reader.offset).decodeNil() else { return false }
    _ = try next()
    return true
  }

  mutating func decode(_ type: Bool.Type) throws -> Bool { try next().decode(type) }
  mutating func decode(_ type: String.Type) throws -> String { try next().decode(type) }
  mutating func decode(_ type: Double.Type) throws -> Double { try next().decode(type) }
  mutating func decode(_ type: Float.Type) throws -> Float { try next().decode(type) }
  mutating func decode(_ type: Int.Type) throws -> Int { try next().decode(type) }
  mutating func decode(_ type: Int8.Type) throws -> Int8 { try next().decode(type) }
  mutating func decode(_ type: Int16.Type) throws -> Int16 { try next().decode(type) }
  mutating func decode(_ type: Int32.Type) throws -> Int32 { try next().decode(type) }
  mutating func decode(_ type: Int64.Type) throws -> Int64 { try next().decode(type) }
  mutating func decode(_ type: UInt.Type) throws -> UInt { try next().decode(type) }
  mutating func decode(_ type: UInt8.Type) throws -> UInt8 { try next().decode(type) }
  mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try next().decode(type) }
  mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try next().decode(type) }
  mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try next().decode(type) }
  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try next().decode(type)
  }

  mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) throws
    -> KeyedDecodingContainer<Nested>
  {
    try next().container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try next().unkeyedContainer()
  }

  mutating func superDecoder() throws -> any Decoder { try next() }
}
