public import IorunCore

/// Cuts a stream into records: a kind (1 byte), a length (4 bytes, little-endian), and as many bytes.
public struct RecordReader: Sendable {
  private let most: Int
  private var buffer: [UInt8] = []
  private var start = 0

  /// Takes records of at most `most` bytes.
  public init(most: Int) { self.most = most }

  /// The bytes in front of each record.
  public static let headerBytes = 5

  /// A record as bytes.
  public static func encode(_ kind: UInt8, _ body: some Collection<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(headerBytes + body.count)
    bytes.append(kind)
    withUnsafeBytes(of: UInt32(body.count).littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: body)
    return bytes
  }

  /// Adds what was read.
  public mutating func append(_ bytes: [UInt8]) {
    if start == buffer.count {
      buffer = bytes
      start = 0
      return
    }
    if start > 0 {
      buffer.removeFirst(start)
      start = 0
    }
    buffer.append(contentsOf: bytes)
  }

  /// The next whole record; `nil` where more must be read first.
  ///
  /// - Throws: `malformed` for a record that is too long.
  public mutating func next() throws(IorunError) -> (kind: UInt8, body: ArraySlice<UInt8>)? {
    guard buffer.count - start >= Self.headerBytes else { return nil }
    var length = 0
    for index in 0..<4 { length |= Int(buffer[start + 1 + index]) << (8 * index) }
    guard length <= most else {
      throw IorunError(.malformed, "a record of \(length) bytes; at most \(most) are taken")
    }
    guard buffer.count - start >= Self.headerBytes + length else { return nil }
    let body = start + Self.headerBytes
    defer { start = body + length }
    return (buffer[start], buffer[body..<body + length])
  }

  /// True where nothing of an unfinished record is left.
  public var isEmpty: Bool { start == buffer.count }
}
