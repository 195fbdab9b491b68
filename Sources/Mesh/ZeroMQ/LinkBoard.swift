public import IorunCore
internal import Synchronization

/// What is known of the connections of peers that dial this process, for whoever judges whether they
/// are alive: when one comes, when it ends and how, and when bytes came over it last. Of peers that run
/// one process only: nodes, not people's commands.
public final class LinkBoard: Sendable {
  /// What happened to a peer's connection.
  public enum Change: Sendable, Hashable {
    /// There is one (again).
    case up
    /// It is gone. `wasClosed`: the peer's kernel closed it; else it was silent for too long, or sent
    /// what no peer sends.
    case down(wasClosed: Bool)
    /// It sends more than is taken of a peer, or all at its address together do; told now and then. Of
    /// people's commands, too.
    case limited
  }

  /// Called on the I/O thread, in order: must not block.
  public typealias Handler = @Sendable (PeerID, Change) -> Void

  /// How long ago a peer's connection was last known to stand.
  public struct Age: Sendable, Hashable {
    /// Since bytes came over it.
    public var heard: Duration
    /// Since the peer's kernel acknowledged something; `nil` where that was not looked at, because
    /// bytes come.
    public var acknowledged: Duration?
  }

  private struct State {
    var heardAt: [PeerID: MonotonicTime] = [:]
    var acknowledgedAt: [PeerID: MonotonicTime] = [:]
    var handler: Handler?
  }

  private let state = Mutex(State())

  /// Replaces the one that hears of changes.
  public func onChange(_ handler: @escaping Handler) { state.withLock { $0.handler = handler } }

  /// How long ago something came over the connection of each peer that has one.
  public func ages() -> [PeerID: Age] {
    let now = EndpointLoop.now()
    return state.withLock { state in
      state.heardAt.reduce(into: [:]) { ages, entry in
        ages[entry.key] = Age(
          heard: max(.zero, now - entry.value),
          acknowledged: state.acknowledgedAt[entry.key].map { max(.zero, now - $0) })
      }
    }
  }

  func isUp(_ peer: PeerID, now: MonotonicTime) {
    let handler = state.withLock { state in
      state.heardAt[peer] = now
      return state.handler
    }
    handler?(peer, .up)
  }

  func isDown(_ peer: PeerID, wasClosed: Bool) {
    let handler = state.withLock { state in
      state.heardAt[peer] = nil
      state.acknowledgedAt[peer] = nil
      return state.handler
    }
    handler?(peer, .down(wasClosed: wasClosed))
  }

  func isLimited(_ peer: PeerID) { state.withLock { $0.handler }?(peer, .limited) }

  func heard(_ times: [PeerID: MonotonicTime], acknowledged: [PeerID: MonotonicTime]) {
    state.withLock { state in
      for (peer, time) in times where state.heardAt[peer] != nil {
        state.heardAt[peer] = time
        state.acknowledgedAt[peer] = acknowledged[peer]
      }
    }
  }
}
