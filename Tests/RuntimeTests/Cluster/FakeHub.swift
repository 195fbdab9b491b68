import Foundation
import Glibc
import IorunCore
import IorunWire
import Synchronization

@testable import IorunRuntime

/// A node's agent for one process of a runtime job, played by a test: it answers `hello`, keeps what it is
/// told, and says what the test says. Its socket is real; a thread of its own reads it.
///
/// Safety of `@unchecked Sendable`: `listener` and `folder` are constant; the rest is within the lock.
final class FakeHub: @unchecked Sendable {
  /// A frame for a process of another node.
  struct Parcel: Sendable {
    var to: ProcessAddress
    var header: LocalHeader
    var body: [UInt8]
  }

  /// A request or a note.
  struct Message: Sendable {
    var operation: LocalOperation
    var number: UInt64
    var json: Data
  }

  private struct State {
    var descriptor: Int32 = -1
    var parcels: [Parcel] = []
    var messages: [Message] = []
  }

  let node = NodeID(high: 1, low: 1)
  private let folder: String
  private let listener: Int32
  private let state = Mutex(State())

  init() throws {
    folder = "/tmp/ir-\(UUID().uuidString.prefix(8))"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    _ = FileManager.default.createFile(atPath: folder + "/arena", contents: Data(count: 1 << 16))
    listener = try UnixSocket.listen(at: folder + "/hub.sock")
    // The process's own listeners do not block; this one has a thread for it.
    _ = fcntl(listener, F_SETFL, 0)
    Thread { self.serve() }.start()
  }

  /// A driver that is attached to it. `close` comes last.
  func driver() async throws -> ClusterProcess {
    let worker = WorkerID(high: 9, low: 9)
    let process = try ClusterProcess(worker: worker, role: "driver", tasks: [], actors: [])
    try await process.connect(
      to: folder + "/hub.sock",
      hello: ClusterProcess.Hello(role: "driver", worker: worker, namespace: "test"))
    return process
  }

  func close(_ process: ClusterProcess) {
    process.bye()
    shutdown(listener, Int32(SHUT_RDWR))
    Glibc.close(listener)
    try? FileManager.default.removeItem(atPath: folder)
  }

  // MARK: What it has heard

  var parcels: [Parcel] { state.withLock { $0.parcels } }

  func messages(_ operation: LocalOperation) -> [Message] {
    state.withLock { $0.messages.filter { $0.operation == operation } }
  }

  // MARK: What it says

  func event(_ operation: LocalOperation, _ value: some Encodable) throws {
    try say(.event, operation.rawValue, 0, value)
  }

  func answer(_ number: UInt64, _ value: some Encodable) throws {
    try say(.response, 0, number, value)
  }

  private func say(
    _ kind: LocalKind, _ aux: UInt16, _ number: UInt64, _ value: some Encodable
  ) throws {
    var bytes: [UInt8] = []
    try LocalFrames.append(
      kind: kind, aux: aux, number: number, json: LocalFrames.json(value), blob: [], to: &bytes)
    write(bytes)
  }

  /// A process of another node says something.
  func frame(
    _ kind: LocalKind, aux: UInt16 = 0, number: UInt64 = 0, from address: ProcessAddress,
    _ body: (inout [UInt8]) -> Void = { _ in }
  ) throws {
    var inner: [UInt8] = []
    try FrameWriter.append(kind, aux: aux, number: number, to: &inner) { body(&$0) }
    var bytes: [UInt8] = []
    try FrameWriter.append(.relay, to: &bytes) { frame in
      frame.append(id: address.node)
      frame.append(id: address.worker)
      frame.append(contentsOf: inner)
    }
    write(bytes)
  }

  private func write(_ bytes: [UInt8]) {
    let descriptor = state.withLock { $0.descriptor }
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { return }
      rest = rest.dropFirst(count)
    }
  }

  // MARK: Its thread

  private func serve() {
    let descriptor = accept(listener, nil, nil)
    guard descriptor >= 0 else { return }
    defer { Glibc.close(descriptor) }
    state.withLock { $0.descriptor = descriptor }
    let reader = LocalFrameReader()
    do {
      while true {
        let room = reader.room()
        let count = recv(descriptor, room.baseAddress, room.count, 0)
        guard count > 0 else { return }
        reader.commit(count)
        while let frame = try reader.next() { try take(frame) }
      }
    } catch {
      return
    }
  }

  private func take(_ frame: LocalFrame) throws {
    switch frame.header.kind {
    case .relay:
      var cursor = FrameCursor(frame.body)
      let to = ProcessAddress(
        node: try cursor.id(NodeID.self), worker: try cursor.id(WorkerID.self))
      let inner = LocalFrameReader()
      inner.append(cursor.rest)
      while let part = try inner.next() {
        let parcel = Parcel(to: to, header: part.header, body: [UInt8](part.body))
        state.withLock { $0.parcels.append(parcel) }
      }
    case .request, .note:
      guard let operation = LocalOperation(rawValue: frame.header.aux) else { return }
      let message = Message(
        operation: operation, number: frame.header.number,
        json: Data(try LocalMessage(frame.body).json))
      state.withLock { $0.messages.append(message) }
      if operation == .hello { try welcome(frame.header.number) }
    default: return
    }
  }

  private func welcome(_ number: UInt64) throws {
    struct Welcome: Encodable {
      struct Arena: Encodable { var path: String, size: Int }
      var `protocol` = 1
      var node: NodeID
      var job = "job-00000000"
      var directory: String
      var arena: Arena
      var resources: ResourceAmounts
    }
    try answer(
      number,
      Welcome(
        node: node, directory: folder, arena: .init(path: folder + "/arena", size: 1 << 16),
        resources: try ResourceAmounts(amounts: ["CPU": 2])))
  }
}
