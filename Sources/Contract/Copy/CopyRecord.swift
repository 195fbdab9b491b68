internal import IorunContent
internal import IorunCore

/// What the two ends of a copy tell each other. A stream of the bulk class carries it; the source is
/// the side that has the files, the sink the one that gets them.
///
/// The source lists everything. The sink answers each file with how much of it is there already, and
/// that part's digest; the source goes on from there where its own bytes have the same digest, else
/// from the start. At the end stands the digest of the whole file, which the sink checks.
enum CopyRecord: Hashable, Sendable {
  // From the source.

  /// The first record: one file, or a folder, and its name.
  case root(isFolder: Bool, name: String)
  /// A folder below the root.
  case folder(path: String, mode: UInt16)
  /// A file below the root; of a single file, its name.
  case file(index: UInt32, size: UInt64, mode: UInt16, path: String)
  /// Something that is not copied, and why.
  case refused(path: String, reason: String)
  /// That was everything.
  case listed
  /// Bytes of a file follow, from `offset` on.
  case begin(index: UInt32, offset: UInt64)
  /// Bytes of the file that was begun.
  case data([UInt8])
  /// The file that was begun is complete; its digest.
  case end(Digest)
  /// A file that was wanted cannot be sent, and why.
  case gone(index: UInt32, reason: String)

  // From the sink.

  /// A file is wanted; so many of its bytes are here, with this digest.
  case want(index: UInt32, offset: UInt64, digest: Digest)
  /// A file stands at its place.
  case done(index: UInt32, resumedBytes: UInt64)
  /// A file or folder could not be written, and why.
  case failed(path: String, reason: String)
  /// Nothing more is wanted; the last record.
  case finished

  /// What `data` holds at most, in bytes.
  static let pieceBytes = 192 << 10
  /// What one record holds at most, in bytes.
  static let mostBytes = 256 << 10

  var encoded: [UInt8] {
    switch self {
    case .root(let isFolder, let name):
      RecordReader.encode(1, [isFolder ? 1 : 0] + name.utf8)
    case .folder(let path, let mode): RecordReader.encode(2, Self.bytes(mode) + path.utf8)
    case .file(let index, let size, let mode, let path):
      RecordReader.encode(
        3, Self.bytes(index) + Self.bytes(size) + Self.bytes(mode) + Array(path.utf8))
    case .refused(let path, let reason): RecordReader.encode(4, Self.text(path, reason))
    case .listed: RecordReader.encode(5, [])
    case .begin(let index, let offset):
      RecordReader.encode(6, Self.bytes(index) + Self.bytes(offset))
    case .data(let bytes): RecordReader.encode(7, bytes)
    case .end(let digest): RecordReader.encode(8, digest.bytes)
    case .gone(let index, let reason):
      RecordReader.encode(9, Self.bytes(index) + reason.utf8.prefix(1024))
    case .want(let index, let offset, let digest):
      RecordReader.encode(16, Self.bytes(index) + Self.bytes(offset) + digest.bytes)
    case .done(let index, let resumed):
      RecordReader.encode(17, Self.bytes(index) + Self.bytes(resumed))
    case .failed(let path, let reason): RecordReader.encode(18, Self.text(path, reason))
    case .finished: RecordReader.encode(19, [])
    }
  }

  /// Throws `malformed`.
  init(kind: UInt8, body: ArraySlice<UInt8>) throws(IorunError) {
    var rest = body
    switch kind {
    case 1:
      self = .root(isFolder: try Self.number(&rest, UInt8.self) != 0, name: try Self.word(rest))
    case 2:
      let mode = try Self.number(&rest, UInt16.self)
      self = .folder(path: try Self.word(rest), mode: mode)
    case 3:
      let index = try Self.number(&rest, UInt32.self)
      let size = try Self.number(&rest, UInt64.self)
      let mode = try Self.number(&rest, UInt16.self)
      self = .file(index: index, size: size, mode: mode, path: try Self.word(rest))
    case 4:
      let (path, reason) = try Self.pair(&rest)
      self = .refused(path: path, reason: reason)
    case 5: self = .listed
    case 6:
      let index = try Self.number(&rest, UInt32.self)
      self = .begin(index: index, offset: try Self.number(&rest, UInt64.self))
    case 7: self = .data(Array(rest))
    case 8: self = .end(try Self.digest(rest))
    case 9:
      let index = try Self.number(&rest, UInt32.self)
      self = .gone(index: index, reason: String(decoding: rest, as: UTF8.self))
    case 16:
      let index = try Self.number(&rest, UInt32.self)
      let offset = try Self.number(&rest, UInt64.self)
      self = .want(index: index, offset: offset, digest: try Self.digest(rest))
    case 17:
      let index = try Self.number(&rest, UInt32.self)
      self = .done(index: index, resumedBytes: try Self.number(&rest, UInt64.self))
    case 18:
      let (path, reason) = try Self.pair(&rest)
      self = .failed(path: path, reason: reason)
    case 19: self = .finished
    default: throw IorunError(.malformed, "a copy has no record of kind \(kind)")
    }
  }

  private static func bytes(_ value: some FixedWidthInteger) -> [UInt8] {
    withUnsafeBytes(of: value.littleEndian) { Array($0) }
  }

  private static func text(_ path: String, _ reason: String) -> [UInt8] {
    let path = path.utf8.prefix(ContentLimits.pathBytes)
    return bytes(UInt16(path.count)) + path + reason.utf8.prefix(1024)
  }

  private static func number<Number: FixedWidthInteger>(
    _ rest: inout ArraySlice<UInt8>, _ type: Number.Type
  ) throws(IorunError) -> Number {
    let size = MemoryLayout<Number>.size
    guard rest.count >= size else { throw IorunError(.malformed, "a copy's record is cut off") }
    defer { rest = rest.dropFirst(size) }
    return rest.prefix(size).reversed().reduce(0) { $0 << 8 | Number($1) }
  }

  private static func word(_ rest: ArraySlice<UInt8>) throws(IorunError) -> String {
    guard let text = String(validating: rest, as: UTF8.self) else {
      throw IorunError(.malformed, "a copy names a file that is not UTF-8")
    }
    return text
  }

  private static func digest(_ rest: ArraySlice<UInt8>) throws(IorunError) -> Digest {
    guard let digest = Digest(bytes: Array(rest)) else {
      throw IorunError(.malformed, "a copy's record has no digest")
    }
    return digest
  }

  private static func pair(_ rest: inout ArraySlice<UInt8>) throws(IorunError) -> (String, String) {
    let count = Int(try number(&rest, UInt16.self))
    guard rest.count >= count else { throw IorunError(.malformed, "a copy's record is cut off") }
    return (
      String(decoding: rest.prefix(count), as: UTF8.self),
      String(decoding: rest.dropFirst(count), as: UTF8.self)
    )
  }
}

/// Reads `CopyRecord`s off a stream.
struct CopyRecordReader: Sendable {
  let stream: any ByteStream
  private var records = RecordReader(most: CopyRecord.mostBytes)

  init(_ stream: any ByteStream) { self.stream = stream }

  /// The next record where it was read already.
  mutating func buffered() throws -> CopyRecord? {
    try records.next().map { try CopyRecord(kind: $0.kind, body: $0.body) }
  }

  /// The next record; `nil` at the stream's end.
  mutating func next() async throws -> CopyRecord? {
    while true {
      if let (kind, body) = try records.next() { return try CopyRecord(kind: kind, body: body) }
      guard let bytes = try await stream.read(upTo: .max) else { return nil }
      records.append(bytes)
    }
  }
}
