import Foundation
import Glibc

/// TCP between two namespaces: a stream as fast as it goes, or a byte to and fro. Everything blocks:
/// run it in processes of its own.
enum Traffic {
  struct Failed: Error, CustomStringConvertible {
    var description: String
    init(_ what: String) { description = "\(what): \(String(cString: strerror(errno)))" }
  }

  /// What a stream moved.
  struct Stream: Codable {
    var bytes: Int
    var seconds: Double
  }

  /// Accepts connections, one at a time, for good: one that begins with `S` is read and counted,
  /// another is echoed.
  static func serve(_ host: String, _ port: UInt16) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, 4)
    guard withAddress(host, port, { bind(listener, $0, $1) }) == 0, listen(listener, 4) == 0 else {
      throw Failed("listen at \(host)")
    }
    print("ready")
    fflush(nil)
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    while true {
      let connection = accept(listener, nil, nil)
      guard connection >= 0 else { throw Failed("accept") }
      setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
      var kind: UInt8 = 0
      guard recv(connection, &kind, 1, 0) == 1 else { continue }
      while true {
        let count = recv(connection, &buffer, buffer.count, 0)
        guard count > 0 else { break }
        if kind != UInt8(ascii: "S") { _ = send(connection, buffer, count, 0) }
      }
      // The sender waits for this: its figure is of bytes that came.
      close(connection)
    }
  }

  /// Sends for some seconds, and until all of it has come.
  static func stream(to host: String, _ port: UInt16, seconds: Double) throws -> Stream {
    let connection = try connected(host, port, "S")
    defer { close(connection) }
    let buffer = [UInt8](repeating: 0x5A, count: 1 << 20)
    let start = ContinuousClock.now
    var bytes = 0
    while ContinuousClock.now - start < .seconds(seconds) {
      let count = send(connection, buffer, buffer.count, Int32(MSG_NOSIGNAL))
      guard count > 0 else { throw Failed("send") }
      bytes += count
    }
    shutdown(connection, Int32(SHUT_WR))
    var byte: UInt8 = 0
    _ = recv(connection, &byte, 1, 0)
    return Stream(bytes: bytes, seconds: (ContinuousClock.now - start) / .seconds(1))
  }

  /// The round trips of 64 bytes, in milliseconds, sorted.
  static func roundTrips(to host: String, _ port: UInt16, count: Int) throws -> [Double] {
    let connection = try connected(host, port, "P")
    defer { close(connection) }
    var buffer = [UInt8](repeating: 1, count: 64)
    var times: [Double] = []
    for _ in 0..<count {
      let start = ContinuousClock.now
      guard send(connection, buffer, buffer.count, 0) == buffer.count,
        recv(connection, &buffer, buffer.count, Int32(MSG_WAITALL)) == buffer.count
      else { throw Failed("echo") }
      times.append((ContinuousClock.now - start) / .milliseconds(1))
    }
    return times.sorted()
  }

  private static func connected(_ host: String, _ port: UInt16, _ kind: Character) throws -> Int32 {
    let connection = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var on: Int32 = 1
    setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
    guard withAddress(host, port, { connect(connection, $0, $1) }) == 0 else {
      throw Failed("connect to \(host)")
    }
    let first = [kind.asciiValue ?? 0]
    guard send(connection, first, 1, 0) == 1 else { throw Failed("send") }
    return connection
  }

  private static func withAddress(
    _ host: String, _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Int32
  ) -> Int32 {
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
