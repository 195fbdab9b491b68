internal import Foundation
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The connection to the node's agent: requests and their answers, notes, events, and parcels for
/// processes of other nodes. See proto/local.md.
final class HubLink: StreamLoop.Receiver {
  /// An answer: its JSON and its blob.
  struct Answer: Sendable {
    let json: Data
    let blob: [UInt8]

    func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
      try LocalMessage.decode(type, from: json)
    }
  }

  /// Takes what the hub says unasked. Called by the thread with the baton.
  protocol Delegate: AnyObject, Sendable {
    func event(_ operation: LocalOperation, _ message: LocalMessage) throws
    func parcel(from address: ProcessAddress, _ frames: UnsafeRawBufferPointer) throws
    func hubEnded(_ error: IorunError?)
  }

  private typealias Waiter = @Sendable (Result<Answer, IorunError>) -> Void

  private struct State {
    var stream: LocalStream?
    var waiters: [UInt64: Waiter] = [:]
    var nextNumber: UInt64 = 1
    var ended: IorunError?
  }

  private let state = Mutex(State())
  private let delegateBox = Mutex<(any Delegate)?>(nil)

  /// Connects. The socket is read once the executor runs.
  func connect(to path: String, loop: StreamLoop, delegate: any Delegate) throws {
    delegateBox.withLock { $0 = delegate }
    let descriptor = try UnixSocket.connect(to: path)
    let stream = try loop.add(descriptor) { _ in self }
    state.withLock { $0.stream = stream }
  }

  /// Asks and waits for the answer. A cancelled task stops waiting; the request itself goes on.
  ///
  /// - Throws: what the hub answers, as an `IorunError`.
  func request(
    _ operation: LocalOperation, _ value: some Encodable & Sendable, blob: [UInt8] = []
  ) async throws -> Answer {
    try await withUnsafeThrowingContinuation { (answer: UnsafeContinuation<Answer, any Error>) in
      do {
        _ = try send(operation, value, blob: blob) { result in
          answer.resume(with: result.mapError { $0 as any Error })
        }
      } catch {
        answer.resume(throwing: error)
      }
    }
  }

  /// Asks; `answered` is called once, by the thread that reads the answer. The request's number.
  func send(
    _ operation: LocalOperation, _ value: some Encodable, blob: [UInt8] = [],
    answered: @escaping @Sendable (Result<Answer, IorunError>) -> Void
  ) throws -> UInt64 {
    let json = try LocalFrames.json(value)
    let (stream, number) = try state.withLock { state in
      if let ended = state.ended { throw ended }
      guard let stream = state.stream else {
        throw IorunError(.internalFault, "the agent was asked before it was connected")
      }
      defer { state.nextNumber += 1 }
      state.waiters[state.nextNumber] = answered
      return (stream, state.nextNumber)
    }
    do {
      try stream.append { bytes in
        try LocalFrames.append(
          kind: .request, aux: operation.rawValue, number: number, json: json, blob: blob,
          to: &bytes)
      }
    } catch {
      // The end of the stream may have answered it meanwhile.
      guard state.withLock({ $0.waiters.removeValue(forKey: number) }) != nil else { return number }
      throw error
    }
    return number
  }

  /// Says something that is not answered. One that cannot be sent belongs to an ended connection,
  /// which the delegate hears of.
  func note(_ operation: LocalOperation, _ value: some Encodable, blob: [UInt8] = []) {
    guard let json = try? LocalFrames.json(value), let stream = state.withLock({ $0.stream }) else {
      return
    }
    try? stream.append { bytes in
      try LocalFrames.append(
        kind: .note, aux: operation.rawValue, number: 0, json: json, blob: blob, to: &bytes)
    }
  }

  /// Sends whole peer frames to a process of another node.
  func relay(_ frames: [UInt8], to address: ProcessAddress) throws {
    guard let stream = state.withLock({ $0.stream }) else { return }
    try stream.append { bytes in
      try FrameWriter.append(.relay, to: &bytes) { bytes in
        bytes.append(id: address.node)
        bytes.append(id: address.worker)
        bytes.append(contentsOf: frames)
      }
    }
  }

  /// Writes what was gathered, now.
  func flush() { state.withLock { $0.stream }?.flush() }

  /// Ends the connection.
  func close() { state.withLock { $0.stream }?.close() }

  // MARK: Receiver

  func received(_ frame: LocalFrame) throws {
    switch frame.header.kind {
    case .response: try answered(frame)
    case .event:
      // Unknown events are those of a newer hub.
      guard let operation = LocalOperation(rawValue: frame.header.aux) else { return }
      let delegate = delegateBox.withLock { $0 }
      try delegate?.event(operation, LocalMessage(frame.body))
    case .relay:
      var cursor = FrameCursor(frame.body)
      let node = try cursor.id(NodeID.self)
      let worker = try cursor.id(WorkerID.self)
      let delegate = delegateBox.withLock { $0 }
      try delegate?.parcel(from: ProcessAddress(node: node, worker: worker), cursor.rest)
    default:
      throw IorunError(.malformed, "the agent sent a frame of kind \(frame.header.kind.rawValue)")
    }
  }

  private func answered(_ frame: LocalFrame) throws {
    let waiter = state.withLock { $0.waiters.removeValue(forKey: frame.header.number) }
    guard let waiter else { return }
    do {
      let message = try LocalMessage(frame.body)
      if frame.header.aux == 0 {
        waiter(.success(Answer(json: Data(message.json), blob: Array(message.blob))))
      } else {
        waiter(.failure(try message.decode(LocalFailure.self).error))
      }
    } catch let error as IorunError {
      waiter(.failure(error))
    }
  }

  func ended(_ error: IorunError?) {
    let reason =
      error
      ?? IorunError(
        .unreachable, "the node's agent has ended its connection",
        remedy: "See the agent's log; start the program again once the node is back")
    let waiters = state.withLock { state in
      defer { state.waiters = [:] }
      state.ended = reason
      return Array(state.waiters.values)
    }
    for waiter in waiters { waiter(.failure(reason)) }
    delegateBox.withLock { $0 }?.hubEnded(reason)
  }
}
