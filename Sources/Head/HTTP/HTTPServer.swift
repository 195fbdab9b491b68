internal import CShim
internal import Foundation
internal import Glibc
internal import IorunCore
internal import Synchronization

/// Serves requests on a loopback port: a thread that accepts, one for each connection, all bounded in
/// bytes, time and number. It has no TLS: a proxy on the same machine has.
final class HTTPServer: Sendable {
  typealias Handler = @Sendable (HTTPRequest) async -> HTTPResponse

  /// How long a client may take to ask, and to take the answer, in seconds.
  static let patience = 5
  /// The most connections at once; more are turned away.
  static let mostConnections = 32

  /// The port that it listens on.
  let port: UInt16
  private let descriptor: Int32
  private let handler: Handler
  private let isStopped = Atomic(false)
  private let connections = Atomic(0)

  /// Listens on `HOST:PORT` (a loopback address of IPv4; port 0 takes any).
  ///
  /// - Throws: `specInvalid` for any other address, `addressInUse`.
  init(address: String, handler: @escaping Handler) throws {
    let parts = address.split(separator: ":")
    guard parts.count == 2, let wished = UInt16(parts[1]), parts[0].hasPrefix("127.") else {
      throw Self.noAddress(address)
    }
    var port: UInt16 = 0
    let made = iorun_local_listen(String(parts[0]), wished, &port)
    guard made != -EINVAL else { throw Self.noAddress(address) }
    guard made >= 0 else {
      throw IorunError(
        .addressInUse, "cannot serve HTTP on \(address): \(String(cString: strerror(-made)))",
        remedy: "Choose another port")
    }
    descriptor = made
    self.handler = handler
    self.port = port
    let thread = Thread { [self] in serve() }
    thread.name = "http"
    thread.start()
  }

  /// Ends it; the thread notices within a moment.
  func stop() { isStopped.store(true, ordering: .relaxed) }

  private static func noAddress(_ address: String) -> IorunError {
    IorunError(
      .specInvalid, "'\(address.prefix(64))' is no loopback HOST:PORT to serve HTTP on",
      remedy: "Use an address such as 127.0.0.1:7072, and a proxy with TLS before it")
  }

  private func serve() {
    defer { close(descriptor) }
    while !isStopped.load(ordering: .relaxed) {
      var poll = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard Glibc.poll(&poll, 1, 200) > 0 else { continue }
      let client = accept(descriptor, nil, nil)
      guard client >= 0 else { continue }
      _ = fcntl(client, F_SETFD, FD_CLOEXEC)
      // Short: a look at the deadline comes in between.
      var limit = timeval(tv_sec: 1, tv_usec: 0)
      for option in [SO_RCVTIMEO, SO_SNDTIMEO] {
        setsockopt(client, SOL_SOCKET, option, &limit, socklen_t(MemoryLayout<timeval>.size))
      }
      guard connections.load(ordering: .relaxed) < Self.mostConnections else {
        Self.send(HTTPResponse(status: 503, body: [], retryAfter: 1).bytes, to: client)
        close(client)
        continue
      }
      connections.add(1, ordering: .relaxed)
      let thread = Thread { [self] in
        converse(client)
        close(client)
        connections.subtract(1, ordering: .relaxed)
      }
      thread.name = "http-connection"
      thread.start()
    }
  }

  private func converse(_ client: Int32) {
    let deadline = ContinuousClock.now + .seconds(Self.patience)
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while ContinuousClock.now < deadline {
      let count = recv(client, &buffer, buffer.count, 0)
      if count < 0, errno == EAGAIN || errno == EINTR { continue }
      guard count > 0 else { return }
      bytes += buffer.prefix(count)
      switch HTTPRequest.parse(bytes) {
      case .incomplete: continue
      case .refused(let status):
        return Self.send(HTTPResponse(status: status, body: []).bytes, to: client)
      case .request(let request): return Self.send(answer(to: request).bytes, to: client)
      }
    }
    Self.send(HTTPResponse(status: 408, body: []).bytes, to: client)
  }

  /// Waits for the answer: this thread is the connection's own, and none of the pool's.
  private func answer(to request: HTTPRequest) -> HTTPResponse {
    let done = DispatchSemaphore(value: 0)
    let box = Answer()
    Task { [handler] in
      box.set(await handler(request))
      done.signal()
    }
    done.wait()
    return box.get() ?? HTTPResponse(status: 500, body: [])
  }

  private final class Answer: Sendable {
    private let value = Mutex<HTTPResponse?>(nil)
    func set(_ response: HTTPResponse) { value.withLock { $0 = response } }
    func get() -> HTTPResponse? { value.withLock { $0 } }
  }

  private static func send(_ bytes: [UInt8], to client: Int32) {
    let deadline = ContinuousClock.now + .seconds(patience)
    var sent = 0
    while sent < bytes.count, ContinuousClock.now < deadline {
      let count = bytes.withUnsafeBytes {
        Glibc.send(
          client, $0.baseAddress.map { $0 + sent }, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count < 0, errno == EAGAIN || errno == EINTR { continue }
      guard count > 0 else { return }
      sent += count
    }
  }
}
