internal import Foundation

/// Appends CBOR items (RFC 8949) to a buffer. Shared by all containers of one encoding.
///
/// Maps and arrays are written with indefinite length, because a Swift container does not say how
/// many entries it will get. A container is closed as soon as one above it is written to, or when
/// the value that opened it is done.
final class CBORWriter {
  private(set) var bytes: [UInt8] = []
  /// How many containers are open around the next item.
  private(set) var depth = 0
  /// Names each opening, so that a container that was closed notices.
  private var openings: [Int] = []
  private var nextOpening = 0

  func head(_ major: CBORMajor, _ argument: UInt64) {
    let type = major.rawValue << 5
    switch argument {
    case 0..<24: bytes.append(type | UInt8(argument))
    case 24...0xff: bytes.append(contentsOf: [type | 24, UInt8(argument)])
    case 0x100...0xffff:
      bytes.append(type | 25)
      appendBigEndian(UInt16(argument))
    case 0x1_0000...0xffff_ffff:
      bytes.append(type | 26)
      appendBigEndian(UInt32(argument))
    default:
      bytes.append(type | 27)
      appendBigEndian(argument)
    }
  }

  func integer(_ value: some FixedWidthInteger) {
    if value >= 0 {
      head(.unsigned, UInt64(truncatingIfNeeded: value))
    } else {
      head(.negative, ~UInt64(truncatingIfNeeded: Int64(truncatingIfNeeded: value)))
    }
  }

  func string(_ value: String) {
    var value = value
    value.withUTF8 { utf8 in
      head(.text, UInt64(utf8.count))
      bytes.append(contentsOf: utf8)
    }
  }

  func byteString(_ content: UnsafeRawBufferPointer) {
    head(.bytes, UInt64(content.count))
    bytes.append(contentsOf: content)
  }

  /// Little-endian numbers as one byte string under a tag (RFC 8746, section 2.1).
  func typedArray(tag: UInt64, _ content: UnsafeRawBufferPointer) {
    head(.tag, tag)
    byteString(content)
  }

  func simple(_ value: UInt8) { bytes.append(CBORMajor.simple.rawValue << 5 | value) }

  func float(_ value: Float) {
    simple(26)
    appendBigEndian(value.bitPattern)
  }

  func double(_ value: Double) {
    simple(27)
    appendBigEndian(value.bitPattern)
  }

  /// Opens a map or an array and returns the name of the opening.
  func open(_ major: CBORMajor) -> Int {
    bytes.append(major.rawValue << 5 | 31)
    depth += 1
    nextOpening += 1
    openings.append(nextOpening)
    return nextOpening
  }

  /// Closes what is open beyond `depth` containers.
  func close(to depth: Int) {
    while self.depth > depth {
      bytes.append(0xff)
      self.depth -= 1
      openings.removeLast()
    }
  }

  /// Makes the container that was opened as `opening` at `depth` the innermost one; false where it
  /// has been closed.
  func resume(_ opening: Int, at depth: Int) -> Bool {
    guard openings.count >= depth, depth > 0, openings[depth - 1] == opening else { return false }
    close(to: depth)
    return true
  }

  private func appendBigEndian<Value: FixedWidthInteger>(_ value: Value) {
    withUnsafeBytes(of: value.bigEndian) { bytes.append(contentsOf: $0) }
  }
}

/// The major types of RFC 8949, section 3.1.
enum CBORMajor: UInt8 {
  case unsigned = 0
  case negative = 1
  case bytes = 2
  case text = 3
  case array = 4
  case map = 5
  case tag = 6
  case simple = 7
}

/// The typed-array tags of RFC 8746 that the codec uses.
enum CBORTag {
  static let float32LittleEndian: UInt64 = 85
  static let float64LittleEndian: UInt64 = 86
}
