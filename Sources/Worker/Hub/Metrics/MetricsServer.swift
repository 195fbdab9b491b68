internal import CShim
internal import Foundation
internal import Glibc
internal import IorunCore
internal import Synchronization

/// Serves `GET /metrics` to Prometheus: one thread, one connection at a time, each bounded in bytes and
/// in time. Not a web server: whoever asks for anything else is told so.
final class MetricsServer: Sendable {
  /// The most bytes of a request that are read.
  static let requestLimit = 8192
  /// How long a client may take to ask, and to take the answer, in seconds.
  static let patience = 2

  private let descriptor: Int32
  private let isStopped = Atomic(false)
  /// The port that it listens on.
  let port: UInt16

  /// Listens on `HOST:PORT` (an IPv4 address; port 0 takes any) and begins to answer with what `text`
  /// returns.
  ///
  /// - Throws: `specInvalid` for an address that is none, `addressInUse`.
  init(address: String, text: @escaping @Sendable () -> String?) throws {
    let parts = address.split(separator: ":")
    guard parts.count == 2, let wished = UInt16(parts[1]) else { throw Self.noAddress(address) }
    var port: UInt16 = 0
    let made = iorun_local_listen(String(parts[0]), wished, &port)
    guard made != -EINVAL else { throw Self.noAddress(address) }
    guard made >= 0 else {
      throw IorunError(
        .addressInUse,
        "cannot serve metrics on \(address): \(String(cString: strerror(-made)))",
        remedy: "Choose another port")
    }
    descriptor = made
    self.port = port
    let thread = Thread { [self] in serve(text) }
    thread.name = "metrics"
    thread.start()
  }

  /// Ends it; the thread notices within a moment.
  func stop() { isStopped.store(true, ordering: .relaxed) }

  private static func noAddress(_ address: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(address.prefix(64))' is no IPv4 HOST:PORT to serve metrics on",
      remedy: "Use an address such as 127.0.0.1:9464")
  }

  private func serve(_ text: @Sendable () -> String?) {
    defer { close(descriptor) }
    while !isStopped.load(ordering: .relaxed) {
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, 200) > 0 else { continue }
      let client = accept(descriptor, nil, nil)
      guard client >= 0 else { continue }
      // No process that is started meanwhile keeps it: their parent closes what they must not have.
      _ = fcntl(client, F_SETFD, FD_CLOEXEC)
      var limit = timeval(tv_sec: Self.patience, tv_usec: 0)
      for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(client, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
      if let request = Self.request(from: client) {
        Self.send(Self.answer(to: request, text), to: client)
      }
      close(client)
    }
  }

  /// The head of a request; `nil` where none comes in time or it is too long.
  private static func request(from client: Int32) -> String? {
    let deadline = ContinuousClock.now + .seconds(patience)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 2048)
    while bytes.count < requestLimit, ContinuousClock.now < deadline {
      let count = recv(client, &buffer, buffer.count, 0)
      guard count > 0 else { return nil }
      bytes += buffer.prefix(count)
      let text = String(decoding: bytes, as: UTF8.self)
      if text.contains("\r\n\r\n") || text.contains("\n\n") { return text }
    }
    return nil
  }

  /// The whole answer to a request.
  static func answer(to request: String, _ text: () -> String?) -> String {
    let words = request.prefix { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }.split(separator: " ")
    let path = words.count > 1 ? words[1].prefix { $0 != "?" } : ""
    guard words.first == "GET" else { return response("405 Method Not Allowed", "GET only\n") }
    guard path == "/metrics" else { return response("404 Not Found", "see /metrics\n") }
    guard let body = text() else { return response("503 Service Unavailable", "stopping\n") }
    return response("200 OK", body)
  }

  private static func response(_ status: String, _ body: String) -> String {
    "HTTP/1.1 \(status)\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n"
      + "Content-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
  }

  private static func send(_ text: String, to client: Int32) {
    let bytes = Array(text.utf8)
    let deadline = ContinuousClock.now + .seconds(patience)
    var sent = 0
    while sent < bytes.count, ContinuousClock.now < deadline {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          client, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      // Whoever does not take it in time asks again.
      guard count > 0 else { return }
      sent += count
    }
  }
}
