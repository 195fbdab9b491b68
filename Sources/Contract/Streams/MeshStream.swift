internal import Foundation
public import IorunCore
internal import Synchronization

/// Bytes in order both ways between two peers of the mesh, with back-pressure, half-close and a
/// reason where it breaks. It outlives a relay that restarts, as sessions do.
///
/// One task reads and one writes at a time. The memory of each end is bounded by the windows.
public protocol ByteStream: Sendable {
  /// The next bytes, at least one and at most `most`; `nil` once the other side has finished.
  ///
  /// - Throws: the reason where the stream broke; `CancellationError`.
  func read(upTo most: Int) async throws -> [UInt8]?
  /// Hands bytes over; waits while the other side takes no more.
  ///
  /// - Throws: the reason where the stream broke; `CancellationError`.
  func write(_ bytes: [UInt8]) async throws
  /// No more will be written; the other side reads to the end and may go on writing.
  func finish() async throws
  /// Breaks the stream off, both ways; the other side gets the reason.
  func reset(_ reason: IorunError)
}

/// A `ByteStream` over the mesh. Made by ``StreamPort``.
public final class MeshStream: ByteStream {
  /// What one call carries at most: well below a payload's limit, and small enough that other
  /// streams have their turn.
  static let partBytes = 256 << 10
  /// How many calls of one stream are under way at once.
  static let mostUnderWay = 16

  private struct State {
    var stream: StreamState
    var underWay = 0
    var failure: IorunError?
    /// True once the last part was taken by the other side.
    var isDelivered = false
    var reader: CheckedContinuation<Void, Never>?
    var writer: CheckedContinuation<Void, Never>?
    var isForgotten = false

    mutating func take(_ side: Side) -> CheckedContinuation<Void, Never>? {
      switch side {
      case .reader: reader.take()
      case .writer: writer.take()
      }
    }

    mutating func put(_ waiter: CheckedContinuation<Void, Never>, _ side: Side) {
      switch side {
      case .reader: reader = waiter
      case .writer: writer = waiter
      }
    }
  }

  private enum Side: Sendable { case reader, writer }

  /// The stream's number, drawn by the peer that opened it.
  public let id: UInt64
  let peer: PeerID
  /// Who may speak for the other end, as the mesh proves callers.
  let callers: Set<PeerID>
  private let outlet: any StreamOutlet
  private let forget: @Sendable (UInt64) -> Void
  private let state: Mutex<State>

  init(
    id: UInt64, peer: PeerID, callers: Set<PeerID>, sendLimit: UInt64, window: UInt64,
    outlet: any StreamOutlet, forget: @escaping @Sendable (UInt64) -> Void
  ) {
    self.id = id
    self.peer = peer
    self.callers = callers
    self.outlet = outlet
    self.forget = forget
    state = Mutex(State(stream: StreamState(sendLimit: sendLimit, window: window)))
  }

  // MARK: Reading

  /// The next bytes; see ``ByteStream``.
  public func read(upTo most: Int = .max) async throws -> [UInt8]? {
    while true {
      try Task.checkCancellation()
      let (bytes, limit, isReadable) = try state.withLock {
        state -> ([UInt8]?, UInt64?, Bool) in
        if state.stream.isReadable {
          let bytes = state.stream.take(upTo: most)
          return (bytes, state.stream.grantedLimit(), true)
        }
        if let failure = state.failure { throw failure }
        return (nil, nil, false)
      }
      if let limit { announce(limit) }
      if isReadable {
        forgetIfOver()
        return bytes
      }
      await wait(.reader) { $0.stream.isReadable || $0.failure != nil }
    }
  }

  private func announce(_ limit: UInt64) {
    Task { [outlet, id] in
      do { try await outlet.allow(limit, of: id) } catch { fail(error) }
    }
  }

  // MARK: Writing

  /// Hands bytes over; see ``ByteStream``.
  public func write(_ bytes: [UInt8]) async throws {
    var start = 0
    while start < bytes.count {
      try Task.checkCancellation()
      let wanted = min(Self.partBytes, bytes.count - start)
      let (count, offset) = try state.withLock { state -> (Int, UInt64) in
        if let failure = state.failure { throw failure }
        guard !state.stream.isFinished else {
          throw IorunError(.wrongState, "the stream is finished: nothing more can be written")
        }
        guard state.underWay < Self.mostUnderWay else { return (0, 0) }
        let count = min(wanted, state.stream.credit)
        if count > 0 { state.underWay += 1 }
        return (count, state.stream.reserve(count))
      }
      guard count > 0 else {
        await wait(.writer) {
          $0.failure != nil || ($0.underWay < Self.mostUnderWay && $0.stream.credit > 0)
        }
        continue
      }
      let part = count == bytes.count ? Data(bytes) : Data(bytes[start..<start + count])
      start += count
      carry(part, at: offset, isLast: false)
    }
  }

  /// No more will be written; see ``ByteStream``.
  public func finish() async throws {
    let offset = try state.withLock { state -> UInt64? in
      if let failure = state.failure { throw failure }
      guard state.stream.finish() else { return nil }
      state.underWay += 1
      return state.stream.sent
    }
    if let offset { carry(Data(), at: offset, isLast: true) }
  }

  /// Waits until the other side has all that was written and `finish` was said.
  ///
  /// - Throws: the reason where the stream broke; `CancellationError`.
  public func drained() async throws {
    while true {
      try Task.checkCancellation()
      let isDone = try state.withLock { state in
        if let failure = state.failure, !state.isDelivered { throw failure }
        return state.isDelivered && state.underWay == 0
      }
      if isDone { return }
      await wait(.writer) { $0.failure != nil || ($0.isDelivered && $0.underWay == 0) }
    }
  }

  private func carry(_ part: Data, at offset: UInt64, isLast: Bool) {
    Task { [outlet, id] in
      do {
        try await outlet.send(part, of: id, at: offset, isLast: isLast)
        let writer = state.withLock { state in
          state.underWay -= 1
          if isLast { state.isDelivered = true }
          return state.writer.take()
        }
        writer?.resume()
        if isLast { forgetIfOver() }
      } catch {
        fail(error)
      }
    }
  }

  // MARK: The end

  /// Breaks the stream off; see ``ByteStream``.
  public func reset(_ reason: IorunError) {
    guard fail(reason) else { return }
    Task { [outlet, id] in
      // Whoever cannot be told has lost the stream by itself.
      try? await outlet.reset(id, reason: reason)
    }
  }

  /// The stream is over for `reason`, without a word to the other side. True for the first reason.
  @discardableResult
  func fail(_ reason: any Error) -> Bool {
    let reason =
      reason as? IorunError
      ?? IorunError(.cancelled, "the stream was given up", cause: reason)
    let (waiters, isFirst) = state.withLock { state in
      let isFirst = state.failure == nil && !(state.stream.isDrained && state.isDelivered)
      if isFirst { state.failure = reason }
      return ([state.reader.take(), state.writer.take()], isFirst)
    }
    for waiter in waiters { waiter?.resume() }
    forgetNow()
    return isFirst
  }

  private func forgetIfOver() {
    let isOver = state.withLock { $0.stream.isDrained && $0.isDelivered }
    if isOver { forgetNow() }
  }

  private func forgetNow() {
    let isFirst = state.withLock { state in
      defer { state.isForgotten = true }
      return !state.isForgotten
    }
    if isFirst { forget(id) }
  }

  // MARK: What the other side says. On the transport's thread: never waits.

  func received(_ bytes: [UInt8], at offset: UInt64, isLast: Bool) throws(IorunError) {
    let outcome = state.withLock {
      state -> Result<CheckedContinuation<Void, Never>?, IorunError> in
      // Its reader is gone: what still comes is nobody's.
      if state.failure != nil { return .success(nil) }
      do throws(IorunError) {
        try state.stream.receive(bytes, at: offset, isLast: isLast)
      } catch {
        return .failure(error)
      }
      return .success(state.stream.isReadable ? state.reader.take() : nil)
    }
    switch outcome {
    case .success(let reader): reader?.resume()
    case .failure(let error):
      fail(error)
      throw error
    }
  }

  /// The other side takes bytes below `limit`, as its answer to the opening says.
  public func grant(_ limit: UInt64) { allowed(min(limit, StreamPort.mostWindow)) }

  func allowed(_ limit: UInt64) {
    let writer = state.withLock { state in
      state.stream.allow(limit)
      return state.writer.take()
    }
    writer?.resume()
  }

  /// Waits until `condition`, a failure or the task's end; the caller looks again.
  private func wait(
    _ side: Side,
    until condition: @Sendable (State) -> Bool
  ) async {
    await withTaskCancellationHandler {
      await withCheckedContinuation { continuation in
        // Resumed outside of the lock: whoever is being cancelled at this moment waits for the lock
        // with its own task locked, and to resume needs that one.
        let due = state.withLock { state -> CheckedContinuation<Void, Never>? in
          if condition(state) || Task.isCancelled { return continuation }
          // A second waiter is a fault of the caller: the first looks again.
          let first = state.take(side)
          state.put(continuation, side)
          return first
        }
        due?.resume()
      }
    } onCancel: {
      state.withLock { $0.take(side) }?.resume()
    }
  }
}

extension Optional where Wrapped == CheckedContinuation<Void, Never> {
  fileprivate mutating func take() -> Self {
    defer { self = nil }
    return self
  }
}
