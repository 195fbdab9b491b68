/// Gathers small records of a copy, so that a thousand small files are not thousands of messages.
struct CopyOutbox: Sendable {
  /// Enough for one message.
  private static let mostBytes = 128 << 10

  private let stream: any ByteStream
  private var waiting: [UInt8] = []

  init(_ stream: any ByteStream) { self.stream = stream }

  /// Writes a record, now or with the next ones.
  mutating func put(_ record: CopyRecord) async throws {
    let bytes = record.encoded
    if waiting.count + bytes.count > Self.mostBytes {
      try await flush()
      // Large ones are not copied once more.
      if bytes.count > Self.mostBytes / 2 { return try await stream.write(bytes) }
    }
    waiting += bytes
  }

  /// Writes what waits. Whoever waits for an answer calls this first.
  mutating func flush() async throws {
    guard !waiting.isEmpty else { return }
    let bytes = waiting
    waiting = []
    try await stream.write(bytes)
  }
}
