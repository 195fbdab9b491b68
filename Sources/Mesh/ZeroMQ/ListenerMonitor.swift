internal import CZeroMQ
internal import Foundation
internal import IorunCore

/// Tells which connections of a listening socket have ended: libzmq's monitor names their descriptors,
/// and `ZMQ_SRCFD` says over which descriptor a message came. Owned by the I/O thread.
///
/// The kernel uses a descriptor again, but only after its connection has ended, of which the monitor
/// tells first. Whoever notes a new connection's descriptor takes what the monitor has told before.
final class ListenerMonitor {
  let socket: ZMQSocket
  private let listener: ZMQSocket

  /// Watches `listener`. Before it is bound.
  init(_ listener: ZMQSocket) throws {
    self.listener = listener
    let address = "inproc://ended-\(UInt(bitPattern: ObjectIdentifier(listener)))"
    guard zmq_socket_monitor(listener.handle, address, ZMQ_EVENT_DISCONNECTED) == 0 else {
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
      let value = parts[0].bytes.withUnsafeBytes {
        $0.loadUnaligned(fromByteOffset: 2, as: UInt32.self)
      }
      descriptors.append(Int32(bitPattern: value))
    }
    return descriptors
  }

  func close() {
    if listener.handle != nil { zmq_socket_monitor(listener.handle, nil, 0) }
    socket.close()
  }
}
