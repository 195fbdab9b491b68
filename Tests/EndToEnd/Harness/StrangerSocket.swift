import Foundation
import Glibc

/// A TCP connection of somebody who is no iorun peer.
enum StrangerSocket {
  /// Connects to a port of this machine and says nothing; the caller closes it.
  static func open(port: UInt16) throws -> Int32 {
    let (descriptor, failure) = connect("127.0.0.1", port)
    // Where nobody listens at the moment the kernel refuses, which is as good.
    guard failure == 0 || failure == ECONNREFUSED else {
      close(descriptor)
      throw POSIXError(.ECONNABORTED)
    }
    return descriptor
  }

  /// Connects to `host:port` on this machine, sends all bytes, as far as the other side takes them,
  /// and hangs up.
  static func send(_ bytes: Data, to address: String) throws {
    let parts = address.split(separator: ":")
    let (descriptor, failure) = connect(String(parts[0]), UInt16(parts[1]) ?? 0)
    defer { close(descriptor) }
    guard failure == 0 else { throw CocoaError(.fileReadUnknown) }
    var limit = timeval(tv_sec: 2, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_SNDTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      // The head may hang up in the middle: that is its right.
      if count <= 0 { break }
      rest = rest.dropFirst(count)
    }
    // One read, so that what the head says to this is under way before the connection ends.
    var reply = [UInt8](repeating: 0, count: 64)
    if !bytes.isEmpty { _ = recv(descriptor, &reply, reply.count, 0) }
  }

  /// A socket, and why it is not connected; 0 where it is.
  private static func connect(_ host: String, _ port: UInt16) -> (descriptor: Int32, failure: Int32)
  {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &target.sin_addr)
    let result = withUnsafePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    return (descriptor, result == 0 ? 0 : errno)
  }
}
