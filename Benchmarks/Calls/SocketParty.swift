internal import CZeroMQ
internal import IorunCore

/// Both ends of the measurement of plain libzmq: the same sockets as ours, nothing above them.
enum SocketParty {
  static let messageBytes = 100

  /// Echoes whatever comes, until the process is ended.
  static func serve(_ line: Line, at address: String) throws {
    let socket = try PlainSocket(ZMQ_ROUTER)
    let key = line.isEncrypted ? try socket.makeServer() : []
    Party.announce(address: try socket.bind(address), key: key)
    Party.exitAtEndOfInput()
    let route = UnsafeMutableRawPointer.allocate(byteCount: 256, alignment: 1)
    let body = UnsafeMutableRawPointer.allocate(byteCount: messageBytes, alignment: 1)
    while true {
      let routeCount = zmq_recv(socket.handle, route, 256, 0)
      let count = zmq_recv(socket.handle, body, messageBytes, 0)
      guard routeCount > 0, count >= 0 else { throw PlainSocket.error("receive") }
      zmq_send(socket.handle, route, Int(routeCount), ZMQ_SNDMORE)
      zmq_send(socket.handle, body, Int(count), 0)
    }
  }

  /// Sends to the server at `address` for `seconds`, always with so many messages under way.
  static func call(
    _ line: Line, at address: String, key: [UInt8], server: Int32, seconds: Double
  ) throws -> Sample {
    let socket = try PlainSocket(ZMQ_DEALER)
    if line.isEncrypted { try socket.makeClient(of: key) }
    try socket.connect(address)
    let body = UnsafeMutableRawPointer.allocate(byteCount: messageBytes, alignment: 1)
    body.initializeMemory(as: UInt8.self, repeating: 7, count: messageBytes)
    for _ in 0..<line.outstanding { zmq_send(socket.handle, body, messageBytes, 0) }
    try turn(socket, body, count: max(line.outstanding, Party.warmUpCalls))
    if line.outstanding == 1 {
      let sample = try oneByOne(socket, body, server, seconds)
      return sample
    }
    let meter = try Meter(server: server)
    let end = Meter.now() + Int64(seconds * 1e9)
    var calls = 0
    while Meter.now() < end {
      // The clock is read now and then only, as a read is dear beside a message.
      try turn(socket, body, count: 256)
      calls += 256
    }
    return meter.sample(calls: calls)
  }

  private static func oneByOne(
    _ socket: PlainSocket, _ body: UnsafeMutableRawPointer, _ server: Int32, _ seconds: Double
  ) throws -> Sample {
    var latencies: [Int64] = []
    latencies.reserveCapacity(1 << 20)
    let meter = try Meter(server: server)
    var now = Meter.now()
    let end = now + Int64(seconds * 1e9)
    while now < end {
      try turn(socket, body, count: 1)
      let after = Meter.now()
      latencies.append(after - now)
      now = after
    }
    return meter.sample(calls: latencies.count, latencies: latencies)
  }

  /// Takes so many answers and sends a message for each.
  private static func turn(_ socket: PlainSocket, _ body: UnsafeMutableRawPointer, count: Int)
    throws
  {
    for _ in 0..<count {
      guard zmq_recv(socket.handle, body, messageBytes, 0) == Int32(messageBytes) else {
        throw PlainSocket.error("receive")
      }
      zmq_send(socket.handle, body, messageBytes, 0)
    }
  }
}
