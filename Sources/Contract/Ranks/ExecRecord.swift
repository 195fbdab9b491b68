public import IorunCore

/// What client and node tell each other about a command that runs beside a rank. A stream of the
/// terminal class carries it.
public enum ExecRecord: Hashable, Sendable {
  /// Client: bytes for the command's input.
  case input([UInt8])
  /// Client: the input is over.
  case inputEnd
  /// Client: the terminal has another size.
  case resize(TerminalSize)
  /// Client: a signal for the command and what it started in its process group.
  case signal(Int32)
  /// Node: the command wrote to its standard output, or to its terminal.
  case output([UInt8])
  /// Node: the command wrote to its standard error.
  case errors([UInt8])
  /// Node: the command ended by itself with this status; the last record.
  case exited(Int32)
  /// Node: a signal ended the command; the last record.
  case signalled(Int32)
  /// Node: the command could not be started, for this reason; the last record.
  case notStarted(String)

  /// What one record holds at most, in bytes.
  public static let mostBytes = 64 << 10

  /// The record as bytes of the stream.
  public var encoded: [UInt8] {
    switch self {
    case .input(let bytes): RecordReader.encode(1, bytes)
    case .inputEnd: RecordReader.encode(2, [])
    case .resize(let size): RecordReader.encode(3, Self.bytes(size.rows) + Self.bytes(size.columns))
    case .signal(let number): RecordReader.encode(4, [UInt8(clamping: number)])
    case .output(let bytes): RecordReader.encode(16, bytes)
    case .errors(let bytes): RecordReader.encode(17, bytes)
    case .exited(let status): RecordReader.encode(18, [UInt8(truncatingIfNeeded: status)])
    case .signalled(let number): RecordReader.encode(19, [UInt8(clamping: number)])
    case .notStarted(let reason): RecordReader.encode(20, Array(reason.utf8.prefix(4096)))
    }
  }

  /// Reads a record's body.
  ///
  /// - Throws: `malformed` for what is none.
  public init(kind: UInt8, body: ArraySlice<UInt8>) throws(IorunError) {
    let start = body.startIndex
    switch (kind, body.count) {
    case (1, _): self = .input(Array(body))
    case (2, 0): self = .inputEnd
    case (3, 4):
      self = .resize(
        TerminalSize(
          rows: UInt16(body[start]) | UInt16(body[start + 1]) << 8,
          columns: UInt16(body[start + 2]) | UInt16(body[start + 3]) << 8))
    case (4, 1) where (1...64).contains(body[start]): self = .signal(Int32(body[start]))
    case (16, _): self = .output(Array(body))
    case (17, _): self = .errors(Array(body))
    case (18, 1): self = .exited(Int32(body[start]))
    case (19, 1): self = .signalled(Int32(body[start]))
    case (20, _): self = .notStarted(String(decoding: body, as: UTF8.self))
    default: throw IorunError(.malformed, "a record of kind \(kind) and \(body.count) bytes")
    }
  }

  private static func bytes(_ value: UInt16) -> [UInt8] {
    [UInt8(truncatingIfNeeded: value), UInt8(truncatingIfNeeded: value >> 8)]
  }
}

/// Reads `ExecRecord`s off a stream.
public struct ExecRecordReader: Sendable {
  private let stream: any ByteStream
  private var records = RecordReader(most: ExecRecord.mostBytes)

  /// Reads from `stream`.
  public init(_ stream: any ByteStream) { self.stream = stream }

  /// The next record; `nil` at the stream's end.
  ///
  /// - Throws: `malformed`; the reason where the stream broke.
  public mutating func next() async throws -> ExecRecord? {
    while true {
      if let (kind, body) = try records.next() { return try ExecRecord(kind: kind, body: body) }
      guard let bytes = try await stream.read(upTo: .max) else { return nil }
      records.append(bytes)
    }
  }
}
