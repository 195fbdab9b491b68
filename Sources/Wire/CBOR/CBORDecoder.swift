internal import Foundation
internal import IorunCore

/// Decodes what `CBOREncoder` encodes, item by item.
public struct CBORDecoder {
  private var reader: CBORReader
  private let userInfo: [CodingUserInfoKey: Any]

  /// Reads a CBOR sequence from its start.
  public init(_ bytes: [UInt8], userInfo: [CodingUserInfoKey: Any] = [:]) {
    reader = CBORReader(bytes: bytes, offset: 0)
    self.userInfo = userInfo
  }

  /// Decodes the next item.
  ///
  /// - Throws: `malformed` where the bytes are no such value.
  public mutating func next<Value: Decodable>(_ type: Value.Type) throws -> Value {
    let start = reader.offset
    try reader.skip()
    return try ItemDecoder(bytes: reader.bytes, offset: start, userInfo: userInfo).decode(type)
  }

  /// True where no item is left.
  public var isAtEnd: Bool { reader.isAtEnd }

  /// Decodes bytes that hold exactly one item.
  ///
  /// - Throws: `malformed` where the bytes are no such value, or hold more.
  public static func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: [UInt8], userInfo: [CodingUserInfoKey: Any] = [:]
  ) throws -> Value {
    var decoder = CBORDecoder(bytes, userInfo: userInfo)
    let value = try decoder.next(type)
    guard decoder.isAtEnd else { throw IorunError(.malformed, "bytes follow the value") }
    return value
  }
}

/// Decodes the item at one offset. The whole buffer has been checked by `CBORReader.skip`.
struct ItemDecoder: Decoder {
  let bytes: [UInt8]
  let offset: Int
  let userInfo: [CodingUserInfoKey: Any]
  var codingPath: [any CodingKey] { [] }

  var reader: CBORReader { CBORReader(bytes: bytes, offset: offset) }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    KeyedDecodingContainer(try MapDecoder<Key>(self))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { try ArrayDecoder(self) }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func at(_ offset: Int) -> ItemDecoder {
    ItemDecoder(bytes: bytes, offset: offset, userInfo: userInfo)
  }

  func mismatch(_ expected: String) -> IorunError {
    IorunError(.malformed, "a value is not \(expected)")
  }

  func integer<Value: FixedWidthInteger>() throws -> Value {
    var reader = reader
    let head = try reader.head()
    let value: Value?
    switch (head.major, head.argument) {
    case (.unsigned, let argument?): value = Value(exactly: argument)
    case (.negative, let argument?) where argument <= UInt64(Int64.max):
      value = Value(exactly: -1 - Int64(argument))
    default: throw mismatch("a whole number")
    }
    guard let value else { throw mismatch("within the range of \(Value.self)") }
    return value
  }

  func floatingPoint() throws -> Double {
    var reader = reader
    let head = try reader.head()
    switch (head.major, head.detail, head.argument) {
    case (.simple, 26, let bits?):
      return Double(Float(bitPattern: UInt32(truncatingIfNeeded: bits)))
    case (.simple, 27, let bits?): return Double(bitPattern: bits)
    case (.unsigned, _, let whole?): return Double(whole)
    case (.negative, _, let whole?): return -1 - Double(whole)
    default: throw mismatch("a number")
    }
  }

  func byteString() throws -> Range<Int> {
    var reader = reader
    let head = try reader.head()
    guard head.major == .bytes else { throw mismatch("a byte string") }
    return try reader.content(head.argument)
  }

  /// The numbers of a typed array; `nil` where the item is something else.
  func typedArray<Element: BitwiseCopyable>(tag: UInt64, of type: Element.Type) throws -> [Element]?
  {
    var reader = reader
    let head = try reader.head()
    guard head.major == .tag, head.argument == tag else { return nil }
    let range = try at(reader.offset).byteString()
    let width = MemoryLayout<Element>.stride
    guard range.count % width == 0 else { throw mismatch("a typed array") }
    return [Element](unsafeUninitializedCapacity: range.count / width) { buffer, count in
      bytes.withUnsafeBytes { source in
        UnsafeMutableRawBufferPointer(buffer).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: source[range]))
      }
      count = range.count / width
    }
  }
}

extension ItemDecoder: SingleValueDecodingContainer {
  func decodeNil() -> Bool { offset < bytes.count && bytes[offset] == 0xf6 }

  func decode(_ type: Bool.Type) throws -> Bool {
    guard offset < bytes.count, bytes[offset] == 0xf4 || bytes[offset] == 0xf5 else {
      throw mismatch("a Boolean")
    }
    return bytes[offset] == 0xf5
  }

  func decode(_ type: String.Type) throws -> String {
    var reader = reader
    let head = try reader.head()
    guard head.major == .text else { throw mismatch("a text") }
    guard let text = String(validating: bytes[try reader.content(head.argument)], as: UTF8.self)
    else { throw mismatch("valid UTF-8") }
    return text
  }

  func decode(_ type: Double.Type) throws -> Double { try floatingPoint() }
  func decode(_ type: Float.Type) throws -> Float { Float(try floatingPoint()) }
  func decode(_ type: Int.Type) throws -> Int { try integer() }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer() }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer() }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer() }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer() }
  func decode(_ type: UInt.Type) throws -> UInt { try integer() }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer() }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer() }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer() }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer() }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    if type == Data.self, let value = Data(bytes[try byteString()]) as? Value { return value }
    if type == [UInt8].self, let value = Array(bytes[try byteString()]) as? Value { return value }
    if type == [Float].self,
      let value = try typedArray(tag: CBORTag.float32LittleEndian, of: Float.self) as? Value
    {
      return value
    }
    if type == [Double].self,
      let value = try typedArray(tag: CBORTag.float64LittleEndian, of: Double.self) as? Value
    {
      return value
    }
    return try Value(from: self)
  }
}
