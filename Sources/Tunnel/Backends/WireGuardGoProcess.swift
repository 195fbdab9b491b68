internal import CShim
internal import Glibc
internal import IorunCore

/// One `wireguard-go` process and its socket. It ends by itself when its interface is gone, so a
/// killed agent, whose namespaces go with it, leaves none behind. All calls block.
final class WireGuardGoProcess: Sendable {
  private let pid: pid_t
  private let descriptor: Int32
  private let path: String
  private static let longestAnswer = 16 << 20

  /// Starts it and waits until it can be asked. Throws `spawnFailed`.
  init(program: String, interface: String) throws(IorunError) {
    path = "/var/run/wireguard/\(interface).sock"
    let output = open("/dev/null", O_WRONLY | O_CLOEXEC)
    guard output >= 0 else { throw IorunError.system("cannot open", "/dev/null", errno: errno) }
    var child: pid_t = 0
    let failure = withCStrings(["wireguard-go", "-f", interface]) { argv in
      withCStrings(["LOG_LEVEL=silent", "PATH=/usr/bin:/bin"]) { envp in
        iorun_spawn(program, argv, envp, "/", output, [], 0, &child)
      }
    }
    Glibc.close(output)
    guard failure == 0 else {
      throw IorunError(
        .spawnFailed, "wireguard-go could not be started: " + String(cString: strerror(failure)))
    }
    pid = child
    descriptor = iorun_pidfd_open(child)
    for _ in 0..<500 {
      let connection = iorun_unix_connect(path)
      if connection >= 0 {
        Glibc.close(connection)
        return
      }
      if waitpid(child, nil, WNOHANG) == child {
        if descriptor >= 0 { Glibc.close(descriptor) }
        throw IorunError(
          .spawnFailed, "wireguard-go ended at once",
          remedy: "See that /dev/net/tun is there, and that the node runs as root")
      }
      usleep(5000)
    }
    stop()
    throw IorunError(.spawnFailed, "wireguard-go did not open its socket within 2.5 s")
  }

  deinit { if descriptor >= 0 { Glibc.close(descriptor) } }

  /// Sends a request to change something. Throws `networkSetup`.
  func change(_ request: String) throws(IorunError) {
    _ = try UAPI.answer(try ask(request), "set up wireguard-go")
  }

  /// Reads everything. Throws `networkSetup`.
  func read() throws(IorunError) -> [(String, String)] {
    try UAPI.answer(try ask(UAPI.get), "read wireguard-go")
  }

  /// Ends it: politely, then hard. Returns once it is gone.
  func stop() {
    if descriptor >= 0 { _ = iorun_pidfd_signal(descriptor, SIGTERM) }
    for turn in 0..<1000 {
      let gone = waitpid(pid, nil, WNOHANG)
      if gone == pid || (gone < 0 && errno == ECHILD) { break }
      if turn == 400, descriptor >= 0 { _ = iorun_pidfd_signal(descriptor, SIGKILL) }
      usleep(5000)
    }
    unlink(path)
  }

  private func ask(_ request: String) throws(IorunError) -> String {
    let connection = iorun_unix_connect(path)
    guard connection >= 0 else {
      throw NetworkFailure.error("wireguard-go is gone", errno: -connection)
    }
    defer { Glibc.close(connection) }
    var patience = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(
      connection, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
    var rest = Array(request.utf8)[...]
    while !rest.isEmpty {
      let done = rest.withUnsafeBytes {
        send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      if done < 0 && errno == EINTR { continue }
      guard done > 0 else {
        throw NetworkFailure.error("wireguard-go does not listen", errno: errno)
      }
      rest = rest.dropFirst(done)
    }
    var answer: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    // An answer ends with an empty line.
    while !answer.suffix(2).elementsEqual("\n\n".utf8) {
      let done = recv(connection, &buffer, buffer.count, 0)
      if done < 0 && errno == EINTR { continue }
      guard done > 0, answer.count < Self.longestAnswer else {
        throw NetworkFailure.error("wireguard-go does not answer", errno: done < 0 ? errno : EPIPE)
      }
      answer += buffer.prefix(done)
    }
    return String(decoding: answer, as: UTF8.self)
  }
}
