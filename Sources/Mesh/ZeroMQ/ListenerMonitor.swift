internal import CZeroMQ
internal import Foundation
internal import IorunCore

/// Tells which connections of a listening socket have ended: libzmq's monitor names their descriptors,
/// and `ZMQ_SRCFD` says over which descriptor a message came. Owned by the I/O thread.
///
/// The kernel uses a descriptor again, but only after its connection has ended, of which the monitor
/// tells first. Whoever notes a new connection's descriptor takes what the monitor has told before.
///
/// It tells, too, where nobody could be let in because this process has no descriptor left: libzmq would
/// try again at once, and for ever.
final class ListenerMonitor {
  let socket: ZMQSocket
  private var starved: Set<String> = []
  private let listener: ZMQSocket

  /// Watches `listener`. Before it is bound.
  init(_ listener: ZMQSocket) throws {
    self.listener = listener
    let address = "inproc://ended-\(UInt(bitPattern: ObjectIdentifier(listener)))"
    guard
      zmq_socket_monitor(listener.handle, address, ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_ACCEPT_FAILED)
        == 0
    else {
      throw ZMQContext.lastError("watch a socket")
    }
    socket = try ZMQSocket(ZMQ_PAIR)
    // Without a bound: else libzmq's own thread would wait for this one while strangers come and go.
    try socket.set(ZMQ_RCVHWM, 0)
    try socket.connect(address)
  }

  /// The descriptors of connections that ended since the last time.
  func ended() -> [Int32] {
    var descriptors: [Int32] = []
    while let parts = socket.receive(partLimit: 2) {
      guard parts.count == 2, parts[0].bytes.count == 6 else { continue }
      let (event, value) = parts[0].bytes.withUnsafeBytes {
        (
          $0.loadUnaligned(as: UInt16.self),
          Int32(bitPattern: $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self))
        )
      }
      if Int32(event) == ZMQ_EVENT_DISCONNECTED {
        descriptors.append(value)
      } else if value == EMFILE || value == ENFILE {
        starved.insert(String(decoding: parts[1].bytes, as: UTF8.self))
      }
    }
    return descriptors
  }

  /// The addresses at which no descriptor was left for a connection, since the last time. Known once
  /// `ended` has read them.
  func takeStarved() -> Set<String> {
    defer { starved.removeAll() }
    return starved
  }

  func close() {
    if listener.handle != nil { zmq_socket_monitor(listener.handle, nil, 0) }
    socket.close()
  }
}
