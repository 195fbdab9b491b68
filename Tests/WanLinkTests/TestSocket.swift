import Foundation
import Glibc
import WanLink

/// A socket of a namespace, with a deadline on everything it does. Its calls block: make them with
/// `TestSocket.blocking`.
final class TestSocket: Sendable {
  struct Failed: Error, CustomStringConvertible {
    var description: String

    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
  }

  let descriptor: Int32

  init(descriptor: Int32, limit: Int = 20) {
    self.descriptor = descriptor
    var time = timeval(tv_sec: limit, tv_usec: 0)
    for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
      setsockopt(
        descriptor, SOL_SOCKET, option, &time, socklen_t(MemoryLayout<timeval>.size))
    }
  }

  deinit { close(descriptor) }

  /// Runs what blocks on a thread of its own.
  static func blocking<Value: Sendable>(
    _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
  }

  /// Calls `body` with an IPv4 address in the form that the kernel takes.
  static func withAddress(
    _ host: String, _ port: UInt16 = 0, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int
  ) -> Int {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    inet_pton(AF_INET, host, &address.sin_addr)
    return withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }

  func listen(_ host: String, _ port: UInt16) throws {
    guard Self.withAddress(host, port, { Int(bind(descriptor, $0, $1)) }) == 0,
      Glibc.listen(descriptor, 1) == 0
    else { throw Failed("listen") }
  }

  func connect(_ host: String, _ port: UInt16) throws {
    guard Self.withAddress(host, port, { Int(Glibc.connect(descriptor, $0, $1)) }) == 0 else {
      throw Failed("connect")
    }
  }

  func accept() throws -> TestSocket {
    let accepted = Glibc.accept(descriptor, nil, nil)
    guard accepted >= 0 else { throw Failed("accept") }
    return TestSocket(descriptor: accepted)
  }

  /// Sends all bytes and then the end.
  func sendAll(_ bytes: [UInt8]) throws {
    var sent = 0
    while sent < bytes.count {
      let count = bytes[sent...].withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw Failed("send") }
      sent += count
    }
    shutdown(descriptor, Int32(SHUT_WR))
  }

  /// Receives until the end.
  func receiveAll() throws -> [UInt8] {
    var received: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, 0)
      guard count >= 0 else { throw Failed("receive") }
      if count == 0 { return received }
      received += buffer[..<count]
    }
  }
}
