internal import IorunCore

/// Which way of making tunnels a machine uses: the first of a list that works there.
public enum TunnelBackends {
  /// What was found.
  public struct Choice: Sendable {
    /// The first that works; `nil` where none does.
    public var backend: (any TunnelBackend)?
    /// Why the ones before it do not, by name.
    public var refusals: [(name: String, reason: String)]
  }

  /// Tries one after the other. Leaves nothing behind.
  public static func choose(from backends: [any TunnelBackend]) async -> Choice {
    var refusals: [(name: String, reason: String)] = []
    for backend in backends {
      switch await backend.probe() {
      case .available: return Choice(backend: backend, refusals: refusals)
      case .unavailable(let reason): refusals.append((backend.name, reason))
      }
    }
    return Choice(backend: nil, refusals: refusals)
  }
}
