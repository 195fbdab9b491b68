internal import CZeroMQ
internal import Glibc
internal import IorunCore

/// Room for one received message, used again for the next: what a peer sent is looked at where libzmq
/// put it. Owned by one thread, as its socket is.
final class ZMQMessage {
  /// More parts than any message of ours has.
  static let partLimit = 3

  private let parts: UnsafeMutablePointer<zmq_msg_t>
  /// How many parts came; 0 for a message with more than there is room for.
  private(set) var count = 0

  init() {
    parts = .allocate(capacity: Self.partLimit)
    for index in 0..<Self.partLimit { zmq_msg_init(parts + index) }
  }

  deinit {
    for index in 0..<Self.partLimit { zmq_msg_close(parts + index) }
    parts.deallocate()
  }

  /// Takes the next message of a socket; false where none waits. A message with too many parts is
  /// read to its end.
  func receive(from socket: ZMQSocket) -> Bool {
    count = 0
    var index = 0
    while true {
      let part = parts + min(index, Self.partLimit - 1)
      guard zmq_msg_recv(part, socket.handle, ZMQ_DONTWAIT) >= 0 else { return index > 0 }
      index += 1
      guard zmq_msg_more(part) == 0 else { continue }
      count = index <= Self.partLimit ? index : 0
      return true
    }
  }

  /// A part's bytes, until the next `receive`.
  func bytes(_ part: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: zmq_msg_data(parts + part), count: zmq_msg_size(parts + part))
  }

  /// What ZAP answered as User-Id for the connection that the message came over.
  var userID: String? {
    zmq_msg_gets(parts + count - 1, "User-Id").map { String(cString: $0) }
  }

  /// True where ZAP answered just that as User-Id, which ends with a zero.
  func isFrom(_ userID: [CChar]) -> Bool {
    guard let own = zmq_msg_gets(parts + count - 1, "User-Id") else { return false }
    return userID.withUnsafeBufferPointer { $0.baseAddress.map { strcmp(own, $0) == 0 } ?? false }
  }

  /// The IP address at that connection's other end, as text; empty for a Unix socket.
  var origin: [UInt8] {
    zmq_msg_gets(parts + count - 1, "Peer-Address").map { Array(String(cString: $0).utf8) } ?? []
  }

  /// The descriptor of that connection, for looking at only: it is libzmq's.
  var descriptor: Int32? {
    // Deprecated in name, but the one way to tell which connection a message came over.
    let descriptor = zmq_msg_get(parts + count - 1, ZMQ_SRCFD)
    return descriptor >= 0 ? descriptor : nil
  }
}
