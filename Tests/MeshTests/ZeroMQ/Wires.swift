import Foundation
import Glibc
import IorunCore
import IorunMesh
import IorunWire
import Synchronization
import Testing

/// Waits for a condition; false where it does not come true within `limit`.
func eventually(within limit: Duration = .seconds(30), _ condition: () -> Bool) async -> Bool {
  let end = ContinuousClock.now + limit
  while ContinuousClock.now < end {
    if condition() { return true }
    try? await Task.sleep(for: .milliseconds(2))
  }
  return false
}

/// An endpoint that listens and admits the keys it is given.
struct Listener {
  let key: CurveKey
  let endpoint: ZeroMQEndpoint
  let receiver: RecordingReceiver

  init(
    key: CurveKey, admitting admitted: [CurveKey], at address: String = "tcp://127.0.0.1:0",
    answer: (@Sendable (InboundPayload) -> [UInt8]?)? = nil
  ) throws {
    self.key = key
    let peers = Dictionary(uniqueKeysWithValues: admitted.map { ($0.publicKey, $0.peer) })
    endpoint = try ZeroMQEndpoint(
      identity: key, listening: [address], admits: { peers[$0] })
    receiver = RecordingReceiver(endpoint, answer: answer)
  }

  var address: String { endpoint.addresses[0] }
  var port: UInt16 { address.split(separator: ":").last.flatMap { UInt16($0) } ?? 0 }
}

/// An endpoint that dials.
struct Caller {
  let endpoint: ZeroMQEndpoint
  let receiver: RecordingReceiver

  init(
    key: CurveKey, to address: String, headKey: [UInt8], instance: UInt64 = MeshInstance.only
  ) throws {
    endpoint = try ZeroMQEndpoint(
      identity: key, uplink: MeshUplink(address: address, key: headKey), instance: instance)
    receiver = RecordingReceiver(endpoint)
  }

  func send(_ bytes: [UInt8], to listener: Listener) throws {
    try endpoint.send(bytes, to: listener.key.peer, in: .actor)
  }
}

/// A plain TCP connection, as any stranger may open.
final class RawConnection {
  let descriptor: Int32

  init(port: UInt16) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = RawConnection.loopback(port)
    let result = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
    guard result == 0 else { throw IorunError(.unreachable, "connect: \(errno)") }
  }

  deinit { close(descriptor) }

  func write(_ bytes: [UInt8]) {
    _ = Glibc.send(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL))
  }

  static func loopback(_ port: UInt16) -> sockaddr_in {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
    return address
  }
}

/// A TCP relay on loopback that can be cut in mid-stream and restored.
final class CuttableProxy: Sendable {
  private struct State {
    var isCut = false
    var isOver = false
    var connections: [Int32] = []
  }

  private let state = Mutex(State())
  private let listening: Int32
  private let target: UInt16
  let port: UInt16

  init(to target: UInt16) throws {
    self.target = target
    listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = RawConnection.loopback(0)
    var size = socklen_t(MemoryLayout<sockaddr_in>.size)
    let descriptor = listening
    let result = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, size) + listen(descriptor, 16) + getsockname(descriptor, $0, &size)
      }
    }
    guard result == 0 else { throw IorunError(.addressInUse, "proxy: \(errno)") }
    port = UInt16(bigEndian: address.sin_port)
    Thread.detachNewThread { [self] in accept() }
  }

  /// Ends every connection and refuses new ones, until `isCut` is false.
  func setCut(_ isCut: Bool) {
    let connections = state.withLock { state in
      state.isCut = isCut
      defer { if isCut { state.connections = [] } }
      return isCut ? state.connections : []
    }
    for descriptor in connections { shutdown(descriptor, Int32(SHUT_RDWR)) }
  }

  func stop() {
    state.withLock { $0.isOver = true }
    setCut(true)
    shutdown(listening, Int32(SHUT_RDWR))
    close(listening)
  }

  private func accept() {
    while true {
      let client = Glibc.accept(listening, nil, nil)
      guard client >= 0 else { return }
      guard !state.withLock({ $0.isCut }), let server = try? RawConnection(port: target) else {
        close(client)
        continue
      }
      state.withLock { $0.connections += [client, server.descriptor] }
      nonisolated(unsafe) let owned = server
      Thread.detachNewThread { [self] in
        pump(from: owned.descriptor, to: client)
        close(client)
      }
      Thread.detachNewThread { [self] in pump(from: client, to: owned.descriptor) }
    }
  }

  private func pump(from source: Int32, to destination: Int32) {
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = recv(source, &buffer, buffer.count, 0)
      guard count > 0 else { break }
      var sent = 0
      while sent < count {
        let written = buffer[sent..<count].withUnsafeBytes {
          Glibc.send(destination, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard written > 0 else { break }
        sent += written
      }
      if sent < count { break }
    }
    shutdown(source, Int32(SHUT_RDWR))
    shutdown(destination, Int32(SHUT_RDWR))
  }
}

/// The caller can still be heard.
func expectWorks(_ caller: Caller, _ listener: Listener) async throws {
  let mark = Array("\(UInt64.random(in: 0 ... .max))".utf8)
  try caller.send(mark, to: listener)
  #expect(await eventually { listener.receiver.payloads.contains { $0.bytes == mark } })
}

/// A closed port may take libzmq a moment to give back.
func retrying<Value>(_ body: () throws -> Value) async throws -> Value {
  for _ in 0..<500 {
    if let value = try? body() { return value }
    try await Task.sleep(for: .milliseconds(10))
  }
  return try body()
}
