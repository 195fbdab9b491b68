internal import IorunWire

/// Frames on their way to one adjacent process, gathered into ZeroMQ messages: under CURVE a message
/// costs one encryption, however many frames it holds.
struct LinkOutbox {
  /// What a link may hold back before it loses packets; sessions send those again.
  static let byteLimit = 8 << 20

  private var batch: [UInt8] = []
  private var waiting: [[UInt8]] = []
  private var waitingBytes = 0
  /// Frames lost because the link could not take them.
  private(set) var dropped = 0

  var isEmpty: Bool { batch.isEmpty && waiting.isEmpty }

  mutating func append(_ frame: Frame) {
    guard waitingBytes + batch.count < Self.byteLimit else {
      dropped += 1
      return
    }
    FrameCodec.append(frame, to: &batch)
    if batch.count >= WireLimits.batchBytes { close() }
  }

  /// Sends what the socket takes.
  mutating func flush(_ send: ([UInt8]) -> Bool) {
    if !batch.isEmpty { close() }
    var sent = 0
    while sent < waiting.count, send(waiting[sent]) {
      waitingBytes -= waiting[sent].count
      sent += 1
    }
    waiting.removeFirst(sent)
  }

  private mutating func close() {
    waitingBytes += batch.count
    waiting.append(batch)
    batch = []
  }
}
