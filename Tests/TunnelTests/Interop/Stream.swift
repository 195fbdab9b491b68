import Foundation
import Glibc
import IorunCore
import IorunCrypto
import WanLink

/// Bytes sent over TCP from one network namespace to another.
enum Stream {
  struct Failed: Error, CustomStringConvertible {
    var description: String
    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
  }

  /// What streams repeat.
  static let pattern = (0..<65_521).map { UInt8(truncatingIfNeeded: ($0 &* 2_654_435_761) >> 13) }

  /// Sends `count` bytes of a pattern; true where exactly these arrived within `limit`. Calls
  /// `during` once the first of them are through.
  static func isWhole(
    _ count: Int, from sender: String, to receiver: String, at host: String,
    of namespaces: NetworkNamespaces, limit: Int = 30,
    during: (() async throws -> Void)? = nil
  ) async throws -> Bool {
    let listener = try socket(in: receiver, of: namespaces, isSix: host.contains(":"), limit)
    defer { close(listener) }
    var on: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    guard withAddress(host, 5001, { Int(bind(listener, $0, $1)) }) == 0,
      Glibc.listen(listener, 1) == 0
    else { throw Failed("listen at \(host)") }
    let origin = try socket(in: sender, of: namespaces, isSix: host.contains(":"), limit)
    var bytes: [UInt8] = []
    while bytes.count < count { bytes += pattern.prefix(count - bytes.count) }
    let whole = bytes

    async let sending: Void = blocking {
      defer { close(origin) }
      guard withAddress(host, 5001, { Int(connect(origin, $0, $1)) }) == 0 else {
        throw Failed("connect to \(host)")
      }
      var sent = 0
      while sent < count {
        let some = whole[sent...].withUnsafeBytes {
          send(origin, $0.baseAddress, min($0.count, 1 << 18), Int32(MSG_NOSIGNAL))
        }
        guard some > 0 else { throw Failed("send") }
        sent += some
      }
    }
    async let receiving: [UInt8] = blocking {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { throw Failed("accept") }
      defer { close(connection) }
      var time = timeval(tv_sec: limit, tv_usec: 0)
      setsockopt(connection, SOL_SOCKET, SO_RCVTIMEO, &time, 16)
      var all: [UInt8] = []
      var buffer = [UInt8](repeating: 0, count: 1 << 18)
      while true {
        let some = recv(connection, &buffer, buffer.count, 0)
        guard some >= 0 else { throw Failed("receive") }
        if some == 0 { return all }
        all += buffer[..<some]
      }
    }
    if let during { try await during() }
    try await sending
    return try await receiving == whole
  }

  /// Sends one UDP datagram.
  static func datagram(
    _ bytes: [UInt8], from sender: String, to host: String, port: UInt16,
    of namespaces: NetworkNamespaces
  ) throws {
    let descriptor = try namespaces.socket(
      in: sender, domain: AF_INET, type: Int32(SOCK_DGRAM.rawValue))
    defer { close(descriptor) }
    guard
      withAddress(host, port, { sendto(descriptor, bytes, bytes.count, 0, $0, $1) })
        == bytes.count
    else { throw Failed("send to \(host)") }
  }

  /// Runs what blocks on a thread of its own.
  static func blocking<Value: Sendable>(
    _ work: @escaping @Sendable () throws -> Value
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread { continuation.resume(with: Result { try work() }) }
    }
  }

  private static func socket(
    in role: String, of namespaces: NetworkNamespaces, isSix: Bool, _ limit: Int
  ) throws -> Int32 {
    let descriptor = try namespaces.socket(
      in: role, domain: isSix ? AF_INET6 : AF_INET, type: Int32(SOCK_STREAM.rawValue))
    var time = timeval(tv_sec: limit, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &time, 16)
    setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &time, 16)
    return descriptor
  }

  /// Calls `body` with an address in the form that the kernel takes.
  static func withAddress(
    _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int
  ) -> Int {
    if host.contains(":") {
      var address = sockaddr_in6()
      address.sin6_family = sa_family_t(AF_INET6)
      address.sin6_port = port.bigEndian
      inet_pton(AF_INET6, host, &address.sin6_addr)
      return withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    }
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
}
