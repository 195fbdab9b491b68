import CZeroMQ
import Foundation
import Glibc
import IorunCore
import IorunWire
import TestSupport
import Testing

@testable import IorunMesh

/// Handshakes that are slow, too large or far too many, on the real port, while a peer works.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct FloodTests {
  private let headKey: CurveKey
  private let annaKey: CurveKey

  init() throws {
    headKey = try CurveKey()
    annaKey = try CurveKey()
  }

  /// A head, and anna, who is in.
  private func world() async throws -> (listener: Listener, anna: Caller) {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    let anna = try Caller(key: annaKey, to: listener.address, headKey: headKey.publicKey)
    try await anna.endpoint.uplinkMonitor.waitUntilUp(within: .seconds(30))
    return (listener, anna)
  }

  /// Anna is heard over the session that she had, without a loss.
  private func expectWorks(_ anna: Caller, _ listener: Listener, count: Int = 20) async throws {
    let before = listener.receiver.payloads.count
    for number in 0..<count { try anna.send([UInt8(number)], to: listener) }
    #expect(await eventually { listener.receiver.payloads.count == before + count })
    let expected = (0..<count).map { [UInt8($0)] }
    #expect(listener.receiver.payloads.suffix(count).map(\.bytes) == expected)
    #expect(anna.receiver.lost.isEmpty && listener.receiver.lost.isEmpty)
    #expect(Set(listener.receiver.payloads.map(\.peer)) == [annaKey.peer])
  }

  private func stop(_ anna: Caller, _ listener: Listener) async {
    await anna.endpoint.stop()
    await listener.endpoint.stop()
  }

  /// The greeting of ZMTP 3.1 with CURVE, for a client.
  private static let greeting: [UInt8] =
    [0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 1] + Array("CURVE".utf8)
    + [UInt8](repeating: 0, count: 47)

  @Test func `attack: handshakes that never come to an end are cut off, and hold nobody up`()
    async throws
  {
    let (listener, anna) = try await world()
    // Each stops elsewhere: at once, in the greeting, before or in its first command.
    let hello: [UInt8] = [4, 200] + [5] + Array("HELLO".utf8) + [1, 0]
    let slow = try (0..<120).map { index in
      let connection = try RawConnection(port: listener.port)
      connection.write(Array((Self.greeting + hello).prefix([0, 1, 11, 64, 70][index % 5])))
      return connection
    }
    try await expectWorks(anna, listener)
    var open = Set(slow.indices)
    let isOver = await eventually {
      for index in open where slow[index].isClosed {
        open.remove(index)
      }
      // The rest drips on: a byte now and then prolongs nothing.
      for index in open { slow[index].write([0]) }
      return open.isEmpty
    }
    #expect(isOver, "\(open.count) handshakes are still waited for")
    try await expectWorks(anna, listener)
    await stop(anna, listener)
  }

  @Test func `attack: a handshake of any size costs a closed connection and no memory`()
    async throws
  {
    let (listener, anna) = try await world()
    let before = Self.residentBytes()
    var connections: [RawConnection] = []
    for index in 0..<64 {
      let connection = try RawConnection(port: listener.port)
      // A command, or a message, that says it is of 4 EiB, and begins.
      let length: [UInt8] = [0x3f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
      connection.write(Self.greeting + [index % 2 == 0 ? 0x06 : 0x02] + length)
      connection.write([UInt8](repeating: 0x41, count: 64 << 10))
      connections.append(connection)
    }
    #expect(await eventually { connections.allSatisfy(\.isClosed) })
    try await expectWorks(anna, listener)
    // Far below what one such length asks for, and below what all have sent taken together many times.
    #expect(Self.residentBytes() - before < 256 << 20)
    await stop(anna, listener)
  }

  @Test func `attack: ten thousand handshakes in less than a minute starve nobody who is in`()
    async throws
  {
    let (listener, anna) = try await world()
    let descriptors = Self.descriptors()
    let (port, serverKey) = (listener.port, headKey.publicKey)
    let hello = try await Self.recordedHello(to: serverKey)
    // Nine thousand up to the server's second word, where its dear work lies, which cost the attacker
    // nothing: it plays one recorded word again and again.
    let cheap = Task.detached {
      var answered = 0
      for _ in 0..<90 {
        let connections = try (0..<100).map { _ in
          let connection = try RawConnection(port: port)
          connection.write(hello)
          return connection
        }
        for connection in connections where connection.hasAnswered(atLeast: 64 + 170) {
          answered += 1
        }
      }
      return answered
    }
    // A thousand to their end, which ZAP refuses.
    let whole = Task.detached {
      for _ in 0..<50 {
        let sockets = try (0..<20).map { _ in
          let socket = try HardenedSocket.dialler(
            identity: CurveKey(), peerKey: serverKey, security: .curve)
          try socket.connect("tcp://127.0.0.1:\(port)")
          _ = socket.send([1])
          return socket
        }
        try await Task.sleep(for: .milliseconds(100))
        for socket in sockets { socket.close() }
      }
    }
    for _ in 0..<25 { try await expectWorks(anna, listener) }
    #expect(try await cheap.value == 9000)
    try await whole.value
    try await expectWorks(anna, listener)
    // What the flood held is given back.
    #expect(await eventually { Self.descriptors() < descriptors + 100 })
    await stop(anna, listener)
  }

  /// What a client says before the server has to work: its greeting and its HELLO, recorded.
  private static func recordedHello(to serverKey: [UInt8]) async throws -> [UInt8] {
    let fake = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    defer { close(fake) }
    var place = RawConnection.loopback(0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let result = withUnsafeMutablePointer(to: &place) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(fake, $0, size) + listen(fake, 1) + getsockname(fake, $0, &size)
      }
    }
    guard result == 0 else { throw IorunError(.addressInUse, "fake server: \(errno)") }
    let dialler = try HardenedSocket.dialler(
      identity: CurveKey(), peerKey: serverKey, security: .curve)
    defer { dialler.close() }
    try dialler.connect("tcp://127.0.0.1:\(UInt16(bigEndian: place.sin_port))")
    return try await Blocking.run {
      let client = accept(fake, nil, nil)
      guard client >= 0 else { throw IorunError(.unreachable, "accept: \(errno)") }
      defer { close(client) }
      var answer = greeting
      answer[32] = 1  // as-server
      send(client, answer, answer.count, Int32(MSG_NOSIGNAL))
      // 64 bytes of greeting, then HELLO: a flag, a length, and 200 bytes.
      var bytes = [UInt8](repeating: 0, count: 64 + 202)
      var count = 0
      while count < bytes.count {
        let read = bytes.withUnsafeMutableBytes { room in
          recv(client, room.baseAddress?.advanced(by: count), room.count - count, 0)
        }
        guard read > 0 else { throw IorunError(.unreachable, "no HELLO came") }
        count += read
      }
      return bytes
    }
  }

  @Test func `a process whose clock went back by years is let in again`() async throws {
    let listener = try Listener(key: headKey, admitting: [annaKey])
    func greet(_ connection: UInt64) async throws -> ZMQSocket {
      let socket = try HardenedSocket.dialler(
        identity: annaKey, peerKey: headKey.publicKey, security: .curve)
      try socket.connect(listener.address)
      var hello: [UInt8] = []
      FrameCodec.append(
        .hello(
          protocolVersion: IorunVersion.wireProtocol, release: "x", connection: connection,
          instance: 0), to: &hello)
      var isWelcome = false
      let ends = ContinuousClock.now + .seconds(30)
      while !isWelcome, ContinuousClock.now < ends {
        // As a dialler does that was not heard: it greets again.
        _ = socket.send(hello)
        for _ in 0..<50 where !isWelcome {
          isWelcome = socket.receive(partLimit: 1) != nil
          if !isWelcome { try await Task.sleep(for: .milliseconds(10)) }
        }
      }
      #expect(isWelcome)
      return socket
    }
    // The first one stays open and silent, as after a cut cable; the second has an older number.
    let first = try await greet(1 << 60)
    let second = try await greet(1)
    first.close()
    second.close()
    await listener.endpoint.stop()
  }

  private static func residentBytes() -> Int {
    let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
    let pages = text.split(separator: " ").compactMap { Int($0) }
    return pages.count > 1 ? pages[1] * 4096 : 0
  }

  private static func descriptors() -> Int {
    guard let folder = opendir("/proc/self/fd") else { return 0 }
    defer { closedir(folder) }
    var count = 0
    while readdir(folder) != nil { count += 1 }
    return count
  }
}

extension RawConnection {
  /// Waits for so many bytes; false where the other side closes before, or says nothing for 30 s.
  func hasAnswered(atLeast count: Int) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 1024)
    var received = 0
    while received < count {
      var waiting = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      guard poll(&waiting, 1, 30_000) > 0 else { return false }
      let read = recv(descriptor, &buffer, buffer.count, 0)
      guard read > 0 else { return false }
      received += read
    }
    return true
  }

  /// Whether the other side has closed it, or reset it.
  var isClosed: Bool {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(descriptor, &buffer, buffer.count, Int32(MSG_DONTWAIT))
      if count > 0 { continue }
      return count == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
    }
  }
}
