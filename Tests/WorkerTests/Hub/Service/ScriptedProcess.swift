import CShim
import Foundation
import Glibc
import IorunCore
import IorunWire

/// One connection to a hub, byte by byte as a test says. It blocks, so it reads on a thread of its own:
/// the hub's tasks need the few threads that tests run on.
///
/// `@unchecked Sendable`: one test's task uses it, one call at a time.
final class ScriptedProcess: @unchecked Sendable {
  /// What a hub sent.
  struct Frame {
    var header: LocalHeader
    var body: [UInt8]
  }

  /// A failed request.
  struct Refusal: Error {
    var code: String
    var message: String
  }

  let descriptor: Int32
  var worker = WorkerID(high: 0, low: 0)
  var job = ""
  var token = ""
  private let reader = LocalFrameReader()
  private var number: UInt64 = 0
  private var early: [Frame] = []

  init(_ path: String) throws {
    descriptor = iorun_unix_connect(path)
    guard descriptor >= 0 else { throw Refusal(code: "connect", message: "\(descriptor)") }
    var limit = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(
      descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// Ends the connection.
  func hangUp() { shutdown(descriptor, Int32(SHUT_RDWR)) }

  func send(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard sent > 0 else { return }
      rest = rest.dropFirst(sent)
    }
  }

  func send(_ kind: LocalKind, aux: UInt16 = 0, number: UInt64 = 0, body: [UInt8]) {
    var bytes: [UInt8] = []
    LocalHeader(kind: kind, aux: aux, number: number, bodyCount: body.count).append(to: &bytes)
    send(bytes + body)
  }

  func message(
    _ kind: LocalKind, _ operation: LocalOperation, _ json: String, number: UInt64 = 0,
    blob: [UInt8] = []
  ) {
    var bytes: [UInt8] = []
    do {
      try LocalFrames.append(
        kind: kind, aux: operation.rawValue, number: number, json: json.utf8, blob: blob, to: &bytes
      )
    } catch {
      return
    }
    send(bytes)
  }

  func note(_ operation: LocalOperation, _ json: String) { message(.note, operation, json) }

  /// Asks without waiting; returns the request's number.
  func ask(_ operation: LocalOperation, _ json: String, blob: [UInt8] = []) -> UInt64 {
    number += 1
    message(.request, operation, json, number: number, blob: blob)
    return number
  }

  /// Waits for the answer of a request.
  func answer(_ number: UInt64) async throws -> [String: Any] {
    let frame = try await next { $0.header.kind == .response && $0.header.number == number }
    let value = try object(frame)
    guard frame.header.aux == 0 else {
      throw Refusal(
        code: value["code"] as? String ?? "", message: value["message"] as? String ?? "")
    }
    return value
  }

  func request(_ operation: LocalOperation, _ json: String, blob: [UInt8] = []) async throws
    -> [String: Any]
  { try await answer(ask(operation, json, blob: blob)) }

  /// The next event of that name.
  func event(_ operation: LocalOperation) async throws -> [String: Any] {
    try await object(next { $0.header.kind == .event && $0.header.aux == operation.rawValue })
  }

  /// The next parcel: source node, source worker, frames.
  func parcel() async throws -> (NodeID?, WorkerID?, [UInt8]) {
    let body = try await next { $0.header.kind == .relay }.body
    return (NodeID(bytes: body.prefix(16)), WorkerID(bytes: body[16..<32]), Array(body[32...]))
  }

  /// True where the hub closes the connection, whatever else it says before.
  func isClosed() async -> Bool {
    do {
      while true { _ = try await next { _ in true } }
    } catch let refusal as Refusal {
      return refusal.code == "closed"
    } catch {
      return false
    }
  }

  private func object(_ frame: Frame) throws -> [String: Any] {
    let value = try frame.body.withUnsafeBytes {
      try JSONSerialization.jsonObject(with: Data(try LocalMessage($0).json))
    }
    return value as? [String: Any] ?? [:]
  }

  private func next(where wanted: @escaping @Sendable (Frame) -> Bool) async throws -> Frame {
    try await withCheckedThrowingContinuation { continuation in
      Thread { continuation.resume(with: Result { try self.wait(for: wanted) }) }.start()
    }
  }

  private func wait(for wanted: (Frame) -> Bool) throws -> Frame {
    if let index = early.firstIndex(where: wanted) { return early.remove(at: index) }
    while true {
      while let frame = try reader.next() {
        let frame = Frame(header: frame.header, body: [UInt8](frame.body))
        if wanted(frame) { return frame }
        early.append(frame)
      }
      let room = reader.room()
      let count = recv(descriptor, room.baseAddress, room.count, 0)
      guard count > 0 else {
        throw Refusal(
          code: count < 0 && errno == EAGAIN ? "silent" : "closed", message: "no more from the hub")
      }
      reader.commit(count)
    }
  }
}
