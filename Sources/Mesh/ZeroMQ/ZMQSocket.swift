internal import CZeroMQ
internal import Foundation
internal import IorunCore

/// A libzmq socket. Not thread-safe: one thread at a time owns it.
final class ZMQSocket {
  private(set) var handle: UnsafeMutableRawPointer?

  init(_ type: Int32) throws {
    handle = zmq_socket(ZMQContext.shared.handle, type)
    guard handle != nil else { throw ZMQContext.lastError("make a socket") }
    try set(ZMQ_LINGER, 0)
  }

  deinit { close() }

  func close() {
    if let handle { zmq_close(handle) }
    handle = nil
  }

  func set(_ option: Int32, _ value: Int32) throws {
    var value = value
    try check(zmq_setsockopt(handle, option, &value, MemoryLayout<Int32>.size), "set an option")
  }

  func set(_ option: Int32, wide value: Int64) throws {
    var value = value
    try check(zmq_setsockopt(handle, option, &value, MemoryLayout<Int64>.size), "set an option")
  }

  func set(_ option: Int32, _ value: [UInt8]) throws {
    try check(zmq_setsockopt(handle, option, value, value.count), "set an option")
  }

  func bind(_ address: String) throws {
    try check(zmq_bind(handle, address), "listen on \(address)")
  }

  func unbind(_ address: String) throws {
    try check(zmq_unbind(handle, address), "stop listening on \(address)")
  }

  func connect(_ address: String) throws {
    try check(zmq_connect(handle, address), "connect to \(address)")
  }

  /// The address that the last `bind` got, with the port that the kernel chose.
  var lastEndpoint: String {
    var buffer = [CChar](repeating: 0, count: 512)
    var size = buffer.count
    guard zmq_getsockopt(handle, ZMQ_LAST_ENDPOINT, &buffer, &size) == 0 else { return "" }
    return String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// Sends one part; false where the socket cannot take it now or does not know the route.
  func send(_ bytes: [UInt8], more: Bool = false) -> Bool {
    zmq_send(handle, bytes, bytes.count, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0
  }

  /// Sends one part from where it lies.
  func send(_ bytes: UnsafeRawBufferPointer) -> Bool {
    zmq_send(handle, bytes.baseAddress, bytes.count, ZMQ_DONTWAIT) >= 0
  }

  /// Sends where the next part goes to; false where the route is not known, or takes nothing now.
  func send(_ route: Route, more: Bool) -> Bool {
    route.withBytes {
      zmq_send(handle, $0.baseAddress, $0.count, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0
    }
  }

  /// One received message part.
  struct Part {
    var bytes: [UInt8]
    /// What ZAP answered as User-Id for the connection it came over: of a message's second part.
    var userID: String?
  }

  /// Receives one whole message of at most `limit` parts; `nil` where none waits. A message with
  /// more parts is read to its end and returned empty.
  func receive(partLimit limit: Int) -> [Part]? {
    var parts: [Part] = []
    while true {
      var message = zmq_msg_t()
      zmq_msg_init(&message)
      defer { zmq_msg_close(&message) }
      guard zmq_msg_recv(&message, handle, ZMQ_DONTWAIT) >= 0 else {
        return parts.isEmpty ? nil : []
      }
      if parts.count <= limit {
        let bytes = [UInt8](
          UnsafeRawBufferPointer(start: zmq_msg_data(&message), count: zmq_msg_size(&message)))
        // One part tells it; a connection's messages have one sender.
        let userID =
          parts.count == 1 ? zmq_msg_gets(&message, "User-Id").map { String(cString: $0) } : nil
        parts.append(Part(bytes: bytes, userID: userID))
      }
      if zmq_msg_more(&message) == 0 { return parts.count > limit ? [] : parts }
    }
  }

  private func check(_ result: Int32, _ doing: String) throws {
    guard result == 0 else { throw ZMQContext.lastError(doing) }
  }
}
