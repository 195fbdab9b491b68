internal import Foundation
internal import IorunCore

/// Reads CBOR items from bytes that may be hostile: every length is checked against what is there,
/// nesting is bounded, and nothing is allocated on a claimed length alone.
struct CBORReader {
  let bytes: [UInt8]
  var offset: Int

  /// The first byte of an item and what follows it.
  struct Head {
    let major: CBORMajor
    /// The argument; `nil` for an indefinite length or, under `.simple`, for a break.
    let argument: UInt64?
    /// The low five bits, which under `.simple` tell a float from a simple value.
    let detail: UInt8
  }

  var isAtEnd: Bool { offset >= bytes.count }

  /// True where the next byte ends an indefinite container.
  var isAtBreak: Bool { offset < bytes.count && bytes[offset] == 0xff }

  mutating func head() throws -> Head {
    guard offset < bytes.count else { throw cutOff() }
    let first = bytes[offset]
    offset += 1
    guard let major = CBORMajor(rawValue: first >> 5) else { throw cutOff() }
    let detail = first & 31
    switch detail {
    case 0..<24: return Head(major: major, argument: UInt64(detail), detail: detail)
    case 24...27:
      let width = 1 << Int(detail - 24)
      guard bytes.count - offset >= width else { throw cutOff() }
      var argument: UInt64 = 0
      for index in 0..<width { argument = argument << 8 | UInt64(bytes[offset + index]) }
      offset += width
      return Head(major: major, argument: argument, detail: detail)
    case 31 where major != .unsigned && major != .negative && major != .tag:
      return Head(major: major, argument: nil, detail: detail)
    default: throw IorunError(.malformed, "a value has a reserved CBOR head")
    }
  }

  /// The range of a definite string's content, which is then passed over.
  mutating func content(_ argument: UInt64?) throws -> Range<Int> {
    guard let argument, argument <= UInt64(bytes.count - offset) else { throw cutOff() }
    let range = offset..<offset + Int(argument)
    offset = range.upperBound
    return range
  }

  /// Passes over one item with everything in it.
  mutating func skip(depth: Int = 0) throws {
    guard depth <= WireLimits.codecDepth else {
      throw IorunError(.malformed, "a value is nested too deep")
    }
    let head = try head()
    switch head.major {
    case .unsigned, .negative: break
    case .bytes, .text: _ = try content(head.argument)
    case .tag: try skip(depth: depth + 1)
    case .simple:
      guard head.argument != nil else { throw IorunError(.malformed, "a stray CBOR break") }
    case .array, .map:
      let items: UInt64 = head.major == .map ? 2 : 1
      if let count = head.argument {
        // Each item takes at least a byte, so a lie about the count ends at the buffer's end.
        for _ in 0..<min(count, UInt64(bytes.count)) {
          for _ in 0..<items { try skip(depth: depth + 1) }
        }
        guard count <= UInt64(bytes.count) else { throw cutOff() }
      } else {
        while !isAtBreak { for _ in 0..<items { try skip(depth: depth + 1) } }
        offset += 1
      }
    }
  }

  func cutOff() -> IorunError { IorunError(.malformed, "a value is cut off") }
}
