internal import CZeroMQ
internal import Foundation
internal import IorunCore

/// Proves that a listener keeps strangers out: connects with a key that nobody knows and waits for the
/// refusal. libzmq admits everybody where authentication is not in force, without a word; a process
/// whose listener does so must not go on.
enum StrangerTest {
  /// How long a busy machine may take to refuse.
  static let patience = 20.0

  /// - Throws: `internalFault` where the stranger is let in, or is not refused.
  static func run(at address: String, serverKey: [UInt8]) throws {
    let stranger = try HardenedSocket.dialler(
      identity: CurveKey(), peerKey: serverKey, security: .curve)
    let watched =
      ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH
      | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL
    let place = "inproc://stranger-\(UInt(bitPattern: ObjectIdentifier(stranger)))"
    guard zmq_socket_monitor(stranger.handle, place, watched) == 0 else {
      throw ZMQContext.lastError("watch a socket")
    }
    defer { zmq_socket_monitor(stranger.handle, nil, 0) }
    let monitor = try ZMQSocket(ZMQ_PAIR)
    try monitor.connect(place)
    try stranger.connect(reachable(address))
    let end = Date(timeIntervalSinceNow: patience)
    while true {
      let left = end.timeIntervalSinceNow
      guard left > 0 else {
        throw failure("was not refused within \(Int(patience)) s")
      }
      var items = [
        zmq_pollitem_t(socket: monitor.handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0)
      ]
      zmq_poll(&items, 1, Int(left * 1000) + 1)
      guard let parts = monitor.receive(partLimit: 2), parts.count == 2, parts[0].bytes.count == 6
      else { continue }
      let event = parts[0].bytes.withUnsafeBytes {
        Int32($0.loadUnaligned(fromByteOffset: 0, as: UInt16.self))
      }
      guard event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH else { throw failure("was let in") }
      return
    }
  }

  /// A wildcard is no address to dial: loopback reaches it.
  private static func reachable(_ address: String) -> String {
    address.replacingOccurrences(of: "//0.0.0.0:", with: "//127.0.0.1:")
      .replacingOccurrences(of: "//[::]:", with: "//[::1]:")
  }

  private static func failure(_ what: String) -> IorunError {
    IorunError(
      .internalFault, "an unknown key \(what) at this process's own listener",
      remedy: "Do not run it: libzmq on this machine does not authenticate")
  }
}
