/// Writes protobuf's wire format (protobuf.dev, Encoding) into room that is large enough.
struct ProtobufWriter {
  private let room: UnsafeMutableBufferPointer<UInt8>
  private(set) var position: Int

  init(_ room: UnsafeMutableBufferPointer<UInt8>, from position: Int) {
    self.room = room
    self.position = position
  }

  mutating func write(_ byte: UInt8) {
    room[position] = byte
    position += 1
  }

  mutating func write(varint value: UInt64) {
    var value = value
    while value > 0x7f {
      write(UInt8(truncatingIfNeeded: value) | 0x80)
      value >>= 7
    }
    write(UInt8(value))
  }

  /// A number of a varint field; 0 is left out, as proto3 has it.
  mutating func write(number value: UInt64, tag: UInt8) {
    guard value != 0 else { return }
    write(tag)
    write(varint: value)
  }

  mutating func write(fixed value: UInt64, tag: UInt8) {
    guard value != 0 else { return }
    write(tag)
    let target = UnsafeMutableRawBufferPointer(room)
    target.storeBytes(of: value.littleEndian, toByteOffset: position, as: UInt64.self)
    position += 8
  }

  static func size(of value: UInt64) -> Int { max(1, (70 - value.leadingZeroBitCount) / 7) }
}

/// Reads protobuf's wire format; `nil` wherever bytes are missing.
struct ProtobufReader {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  var left: Int { bytes.count - position }
  var rest: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: bytes[position...]) }

  mutating func byte() -> UInt8? {
    guard position < bytes.count else { return nil }
    defer { position += 1 }
    return bytes[position]
  }

  mutating func fixed() -> UInt64? {
    guard left >= 8 else { return nil }
    defer { position += 8 }
    return UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self))
  }

  mutating func varint() -> UInt64? {
    var value: UInt64 = 0
    for shift in stride(from: UInt64(0), to: 64, by: 7) {
      guard let byte = byte() else { return nil }
      guard shift < 63 || byte < 2 else { return nil }
      value |= UInt64(byte & 0x7f) << shift
      if byte < 0x80 { return value }
    }
    return nil
  }
}
