public import IorunContract
internal import IorunCore
internal import Synchronization

/// A command beside a rank, as the client sees it: hands input, sizes and signals on, and output back,
/// until the command has ended.
public final class ExecSession: Sendable {
  private let stream: any ByteStream
  private let asides: AsyncStream<ExecRecord>
  private let aside: AsyncStream<ExecRecord>.Continuation

  /// A session over a stream that was opened for a command.
  public init(_ stream: any ByteStream) {
    self.stream = stream
    (asides, aside) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
  }

  /// Sends a signal to the command's process group.
  public func signal(_ number: Int32) { aside.yield(.signal(number)) }

  /// Tells the command's terminal its size.
  public func resize(_ size: TerminalSize) { aside.yield(.resize(size)) }

  /// Runs to the command's end.
  ///
  /// - Parameters:
  ///   - input: gives the next bytes of input, `nil` at its end.
  ///   - output: takes what the command prints; true for its standard error.
  /// - Returns: the last record: how the command ended.
  /// - Throws: the reason where the stream broke; what `output` throws.
  public func run(
    input: @escaping @Sendable () async -> [UInt8]?,
    output: @escaping @Sendable ([UInt8], _ isError: Bool) async throws -> Void
  ) async throws -> ExecRecord {
    // One writer: records of two tasks must not mix.
    let writer = RecordWriter(stream)
    return try await withThrowingTaskGroup(of: ExecRecord?.self) { group in
      group.addTask { [self] in
        for await record in asides { try await writer.write(record) }
        return nil
      }
      group.addTask {
        while let bytes = await input() { try await writer.write(.input(bytes)) }
        if !Task.isCancelled { try await writer.write(.inputEnd) }
        return nil
      }
      group.addTask { [stream] in
        var records = ExecRecordReader(stream)
        while let record = try await records.next() {
          switch record {
          case .output(let bytes): try await output(bytes, false)
          case .errors(let bytes): try await output(bytes, true)
          case .exited, .signalled, .notStarted: return record
          case .input, .inputEnd, .resize, .signal:
            throw IorunError(.malformed, "a node does not say what a client says")
          }
        }
        throw IorunError(.peerLost, "the node ended the session without a word")
      }
      defer {
        aside.finish()
        group.cancelAll()
      }
      while true {
        do {
          guard let result = try await group.next() else {
            throw IorunError(.peerLost, "the node ended the session without a word")
          }
          if let result { return result }
        } catch let error as IorunError where error.code == .cancelled {
          // The command has ended and takes no more input: its last word is on its way.
          continue
        }
      }
    }
  }
}

/// Writes whole records, one after the other.
private actor RecordWriter {
  private let stream: any ByteStream
  private var last: Task<Void, any Error>?

  init(_ stream: any ByteStream) { self.stream = stream }

  func write(_ record: ExecRecord) async throws {
    let previous = last
    let task = Task { [stream] in
      _ = await previous?.result
      try await stream.write(record.encoded)
    }
    last = task
    try await withTaskCancellationHandler {
      try await task.value
    } onCancel: {
      task.cancel()
    }
  }
}
