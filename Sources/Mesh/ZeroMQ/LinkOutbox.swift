internal import IorunWire

/// Frames on their way to one adjacent process, gathered into ZeroMQ messages: under CURVE a message
/// costs one encryption, however many frames it holds. A large payload is a message's second part, so
/// that it is not copied into the first.
struct LinkOutbox {
  /// What a link may hold back before it loses packets; sessions send those again.
  static let byteLimit = 8 << 20
  /// Payloads from this size on are parts of their own.
  static let partBytes = 16 << 10

  /// A ZeroMQ message: frames, and the payload of the last one where it is large.
  struct Message {
    var frames: [UInt8]
    var tail: [UInt8] = []

    var byteCount: Int { frames.count + tail.count }
  }

  private var batch: [UInt8] = []
  private var waiting: [Message] = []
  private var waitingBytes = 0
  /// Frames lost because the link could not take them.
  private(set) var dropped = 0

  var isEmpty: Bool { batch.isEmpty && waiting.isEmpty }

  mutating func append(_ frame: Frame) {
    guard waitingBytes + batch.count < Self.byteLimit else {
      dropped += 1
      return
    }
    if case .packet(let packet) = frame, packet.payloadByteCount >= Self.partBytes {
      close(tail: FrameCodec.appendSplit(packet, to: &batch))
      return
    }
    FrameCodec.append(frame, to: &batch)
    if batch.count >= WireLimits.batchBytes { close() }
  }

  /// Sends what the socket takes.
  mutating func flush(_ send: (Message) -> Bool) {
    if !batch.isEmpty { close() }
    var sent = 0
    while sent < waiting.count, send(waiting[sent]) {
      waitingBytes -= waiting[sent].byteCount
      sent += 1
    }
    waiting.removeFirst(sent)
  }

  private mutating func close(tail: [UInt8] = []) {
    let message = Message(frames: batch, tail: tail)
    waitingBytes += message.byteCount
    waiting.append(message)
    batch = []
  }
}

extension ZMQSocket {
  /// Sends a message's parts; false where the socket cannot take it now or does not know the route.
  func send(_ message: LinkOutbox.Message) -> Bool {
    guard send(message.frames, more: !message.tail.isEmpty) else { return false }
    return message.tail.isEmpty || send(message.tail)
  }
}
