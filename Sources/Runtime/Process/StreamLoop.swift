internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Logging
internal import Synchronization

/// All sockets of a runtime process: reads frames off them and hands these to their receivers.
final class StreamLoop: ClusterExecutor.Sockets {
  /// Takes what one stream says. Called by the thread with the baton, one call at a time.
  protocol Receiver: AnyObject, Sendable {
    /// A frame; its body is valid during the call.
    func received(_ frame: LocalFrame) throws
    /// The stream has ended, or what it said could not be read.
    func ended(_ error: IorunError?)
  }

  private enum Watched {
    case stream(LocalStream, any Receiver)
    case listener(Int32, @Sendable (Int32) -> Void)
  }

  private struct State {
    var watched: [UInt64: Watched] = [:]
    var nextToken: UInt64 = 1
    var gathered: [LocalStream] = []
    var ended: [LocalStream] = []
    var ticks: [@Sendable () -> Void] = []
    var flushes: [@Sendable () -> Void] = []
  }

  private let poller: Poller
  private let state = Mutex(State())
  private let logger = Logger(label: "iorun.runtime")
  private let executorBox = Mutex<ClusterExecutor?>(nil)

  init() throws { poller = try Poller() }

  /// The executor that polls this loop; set once, before anything is watched.
  func attach(_ executor: ClusterExecutor) { executorBox.withLock { $0 = executor } }

  /// Begins to read a connected socket. `receiver` makes the receiver of the new stream.
  func add(_ descriptor: Int32, _ receiver: (LocalStream) -> any Receiver) throws -> LocalStream {
    let token = nextToken()
    let stream = LocalStream(descriptor, token: token, loop: self)
    let taker = receiver(stream)
    state.withLock { $0.watched[token] = .stream(stream, taker) }
    try poller.add(descriptor, token: token)
    return stream
  }

  /// Begins to accept connections.
  func listen(_ descriptor: Int32, _ accepted: @escaping @Sendable (Int32) -> Void) throws {
    let token = nextToken()
    state.withLock { $0.watched[token] = .listener(descriptor, accepted) }
    try poller.add(descriptor, token: token)
  }

  /// Has `body` called about ten times a second while there is something to do.
  func onTick(_ body: @escaping @Sendable () -> Void) { state.withLock { $0.ticks.append(body) } }

  /// Has `body` called before gathered bytes are written.
  func onFlush(_ body: @escaping @Sendable () -> Void) {
    state.withLock { $0.flushes.append(body) }
  }

  private func nextToken() -> UInt64 {
    state.withLock { state in
      defer { state.nextToken += 1 }
      return state.nextToken
    }
  }

  // MARK: Of streams

  func list(_ stream: LocalStream) {
    state.withLock { $0.gathered.append(stream) }
    needsFlush()
  }

  func needsFlush() { executorBox.withLock { $0 }?.needsFlush() }

  func endLater(_ stream: LocalStream) {
    state.withLock { $0.ended.append(stream) }
    poller.interrupt()
  }

  func watch(_ descriptor: Int32, _ token: UInt64, writable: Bool) {
    do {
      try poller.watch(descriptor, token: token, writable: writable)
    } catch {
      logger.error("a socket cannot be watched", metadata: ["error": "\(error)"])
    }
  }

  // MARK: Sockets

  func interrupt() { poller.interrupt() }

  func flush() {
    for body in state.withLock({ $0.flushes }) { body() }
    let streams = state.withLock { state in
      defer { state.gathered.removeAll(keepingCapacity: true) }
      return state.gathered
    }
    for stream in streams { stream.flush() }
  }

  func tick() { for body in state.withLock({ $0.ticks }) { body() } }

  func poll(milliseconds: Int32, woken: (Int) -> Void) {
    withUnsafeTemporaryAllocation(of: Poller.Event.self, capacity: Poller.eventLimit) { events in
      var count = 0
      let waited = poller.wait(milliseconds: milliseconds) { event in
        events.initializeElement(at: count, to: event)
        count += 1
      }
      woken(waited)
      for event in events[..<count] { handle(event) }
    }
    for stream in state.withLock({ $0.ended.isEmpty ? [] : exchange(&$0.ended, with: []) }) {
      end(stream, nil)
    }
  }

  private func handle(_ event: Poller.Event) {
    guard let watched = state.withLock({ $0.watched[event.token] }) else { return }
    switch watched {
    case .listener(let listener, let accepted):
      while let descriptor = UnixSocket.accept(listener) { accepted(descriptor) }
    case .stream(let stream, let receiver):
      if event.isWritable { stream.flush() }
      guard event.isReadable else { return }
      do {
        let isOpen = stream.read()
        while let frame = try stream.reader.next() { try receiver.received(frame) }
        if !isOpen { end(stream, nil) }
      } catch {
        let error = error as? IorunError ?? IorunError(.malformed, "\(error)")
        logger.warning("a connection was ended", metadata: ["error": "\(error)"])
        end(stream, error)
      }
    }
  }

  private func end(_ stream: LocalStream, _ error: IorunError?) {
    let watched = state.withLock { $0.watched.removeValue(forKey: stream.token) }
    stream.close()
    if case .stream(_, let receiver)? = watched { receiver.ended(error) }
  }
}

private func exchange<Value>(_ place: inout Value, with value: Value) -> Value {
  defer { place = value }
  return place
}
