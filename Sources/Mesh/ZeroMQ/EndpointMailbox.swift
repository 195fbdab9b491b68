internal import CShim
internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// How other threads speak to an endpoint's I/O thread: a locked list, and an eventfd that is
/// written only when the thread sleeps, so that a busy loop costs its senders no system call.
final class EndpointMailbox: Sendable {
  /// What the I/O thread is asked to do.
  enum Command: Sendable {
    case send([UInt8], to: PeerID, TrafficClass)
    case consumed(Int, from: PeerID, TrafficClass)
    case relays(RelayTable)
    case newcomers(NewcomerAdmission)
    /// What became of the newcomer whose link has that number, or would have it.
    case decided(MeshEngine.LinkID, IorunError?)
    case forget(PeerID)
    case dial(MeshUplink, LinkPurpose, UplinkMonitor)
    case hangUp(PeerID)
    case endLinks(PeerID)
    case expel(PeerID)
    case listen([String], KeyAdmission, LinkCredentials?, Reply<LinkListener>)
    case closeListener(UInt64)
    case carrier(PeerID?, of: PeerID)
    case isDirect(PeerID, Reply<Bool>)
    case stop(MonotonicTime, @Sendable () -> Void)
  }

  /// Called once, on the I/O thread or after its end.
  typealias Reply<Value> = @Sendable (Result<Value, any Error>) -> Void

  private struct State {
    var commands: [Command] = []
    var isSleeping = false
    var isStopped = false
    var budget = OutboundBudget()
  }

  private let state = Mutex(State())
  /// Readable when there are commands.
  let descriptor: Int32

  init() throws {
    descriptor = iorun_eventfd_create()
    guard descriptor >= 0 else {
      throw IorunError(
        .internalFault, "cannot make an eventfd: error \(-descriptor)",
        remedy: "Raise the limit on open files (`ulimit -n`)")
    }
  }

  deinit { close(descriptor) }

  func send(_ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass) throws {
    let wake = try state.withLock { state in
      guard !state.isStopped else {
        throw IorunError(.unreachable, "this process has left the mesh")
      }
      try state.budget.reserve(payload.count, for: peer)
      state.commands.append(.send(payload, to: peer, trafficClass))
      return state.isSleeping.take()
    }
    if wake { iorun_eventfd_signal(descriptor) }
  }

  /// Posts a command. One that is not urgent waits for the loop's next turn.
  func post(_ command: Command, isUrgent: Bool = true) {
    let (isOver, wake) = state.withLock { state in
      guard !state.isStopped else { return (true, false) }
      state.commands.append(command)
      return (false, isUrgent ? state.isSleeping.take() : false)
    }
    if isOver { Self.answerAfterEnd(command) }
    if wake { iorun_eventfd_signal(descriptor) }
  }

  /// Nobody will carry a command out any more: whoever waits for it hears so.
  static func answerAfterEnd(_ command: Command) {
    let ended = IorunError(.unreachable, "this process has left the mesh")
    switch command {
    case .stop(_, let done): done()
    case .listen(_, _, _, let reply): reply(.failure(ended))
    case .isDirect(_, let reply): reply(.failure(ended))
    case .dial(_, _, let monitor): monitor.failed(ended)
    case .send, .consumed, .relays, .newcomers, .decided, .forget, .hangUp, .endLinks, .expel,
      .closeListener, .carrier:
      return
    }
  }

  /// Makes the thread take a turn: there is something for it elsewhere.
  func wake() {
    if state.withLock({ $0.isSleeping.take() }) { iorun_eventfd_signal(descriptor) }
  }

  /// Takes all commands; where there are none, notes that the thread goes to sleep.
  func takeOrSleep() -> [Command] {
    state.withLock { state in
      if state.commands.isEmpty { state.isSleeping = true }
      return state.commands.take()
    }
  }

  /// Takes all commands after a sleep.
  func takeAwake() -> [Command] {
    state.withLock { state in
      state.isSleeping = false
      return state.commands.take()
    }
  }

  func release(_ byteCount: Int, for peer: PeerID) {
    state.withLock { $0.budget.release(byteCount, for: peer) }
  }

  func releaseAll(for peer: PeerID) { state.withLock { $0.budget.releaseAll(for: peer) } }

  /// Refuses everything from now on and returns what is left.
  func stop() -> [Command] {
    state.withLock { state in
      state.isStopped = true
      return state.commands.take()
    }
  }
}

extension Bool {
  /// The value, which is false afterwards.
  mutating func take() -> Bool {
    defer { self = false }
    return self
  }
}

extension Array {
  /// The elements, which are gone afterwards.
  mutating func take() -> [Element] {
    defer { self = [] }
    return self
  }
}
