internal import CZeroMQ
internal import IorunCore

/// Both ends of the measurement of large messages over plain libzmq, without a copy of ours: the floor
/// under a session's bulk.
enum BulkSocketParty {
  /// Answers each message with one byte, until the process is ended.
  static func serve(_ line: Line, at address: String) throws {
    let socket = try PlainSocket(ZMQ_ROUTER)
    let key = line.isEncrypted ? try socket.makeServer() : []
    Party.announce(address: try socket.bind(address), key: key)
    Party.exitAtEndOfInput()
    var answer: UInt8 = 1
    while true {
      var (route, body) = (zmq_msg_t(), zmq_msg_t())
      zmq_msg_init(&route)
      zmq_msg_init(&body)
      guard zmq_msg_recv(&route, socket.handle, 0) >= 0,
        zmq_msg_recv(&body, socket.handle, 0) >= 0
      else { throw PlainSocket.error("receive") }
      zmq_msg_close(&body)
      zmq_msg_send(&route, socket.handle, ZMQ_SNDMORE)
      zmq_send(socket.handle, &answer, 1, 0)
    }
  }

  /// Sends to the server at `address` for `seconds`, always with so many messages under way.
  static func call(
    _ line: Line, at address: String, key: [UInt8], server: Int32, seconds: Double
  ) throws -> Sample {
    let socket = try PlainSocket(ZMQ_DEALER)
    if line.isEncrypted { try socket.makeClient(of: key) }
    try socket.connect(address)
    let content = UnsafeMutableRawPointer.allocate(byteCount: line.messageBytes, alignment: 64)
    content.initializeMemory(as: UInt8.self, repeating: 7, count: line.messageBytes)
    func send() {
      var message = zmq_msg_t()
      // The same bytes again and again, which nobody frees.
      zmq_msg_init_data(&message, content, line.messageBytes, nil, nil)
      zmq_msg_send(&message, socket.handle, 0)
    }
    func turn(_ count: Int) throws {
      var answer: UInt8 = 0
      for _ in 0..<count {
        guard zmq_recv(socket.handle, &answer, 1, 0) == 1 else {
          throw PlainSocket.error("receive")
        }
        send()
      }
    }
    for _ in 0..<line.outstanding { send() }
    try turn(2 * line.outstanding)
    let meter = try Meter(server: server)
    let end = Meter.now() + Int64(seconds * 1e9)
    var calls = 0
    while Meter.now() < end {
      try turn(1)
      calls += 1
    }
    return meter.sample(calls: calls)
  }
}
