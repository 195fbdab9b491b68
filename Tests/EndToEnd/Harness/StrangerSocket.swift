import Foundation
import Glibc

/// A TCP connection of somebody who is no iorun peer.
enum StrangerSocket {
  /// Connects to `host:port` on this machine, sends all bytes, as far as the other side takes them,
  /// and hangs up.
  static func send(_ bytes: Data, to address: String) throws {
    let parts = address.split(separator: ":")
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(descriptor) }
    var target = sockaddr_in()
    target.sin_family = sa_family_t(AF_INET)
    target.sin_port = (UInt16(parts[1]) ?? 0).bigEndian
    inet_pton(AF_INET, String(parts[0]), &target.sin_addr)
    let connected = withUnsafePointer(to: &target) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard connected == 0 else { throw CocoaError(.fileReadUnknown) }
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
}
