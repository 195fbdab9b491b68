internal import IorunCore
internal import IorunWire

/// The newest standing of every actor that processes of this node made or asked for, and which
/// connections hear of its changes. News may overtake each other: what is older is dropped. A pure
/// value.
struct ActorTable: Sendable {
  private struct Entry: Sendable {
    var status: RuntimeActorStatus
    var watchers: Set<UInt64> = []
    /// What a restarted head needs to know; kept while the creator is here.
    var spec: RuntimeActorSpec?
  }

  private var entries: [RuntimeActorID: Entry] = [:]

  /// The newest standing.
  func status(_ actor: RuntimeActorID) -> RuntimeActorStatus? { entries[actor]?.status }

  /// Who hears of an actor.
  func watchers(_ actor: RuntimeActorID) -> Set<UInt64> { entries[actor]?.watchers ?? [] }

  /// Every actor that somebody watches and that is not dead.
  var watched: [RuntimeActorID] {
    entries.filter { !$0.value.watchers.isEmpty && $0.value.status.state != .dead }.map(\.key)
  }

  /// Actors made here of which perhaps nobody but the head knows: no node runs them, or another one
  /// than `node` was to, and may not have heard of it.
  func knownToHead(besides node: NodeID) -> [RuntimeActorRecord] {
    entries.values.compactMap { entry in
      guard let spec = entry.spec else { return nil }
      switch entry.status.state {
      case .pending, .restarting: break
      case .placed: if entry.status.node == node { return nil }
      case .alive, .dead: return nil
      }
      return RuntimeActorRecord(spec: spec, status: entry.status)
    }
  }

  /// Actors made here that no process runs now: those that wait, and those that are dead.
  func withoutProcess(of job: JobID) -> [RuntimeActorRecord] {
    entries.values.compactMap { entry in
      guard let spec = entry.spec, spec.job == job else { return nil }
      switch entry.status.state {
      case .pending, .restarting, .dead: break
      case .placed, .alive: return nil
      }
      return RuntimeActorRecord(spec: spec, status: entry.status)
    }
  }

  /// Takes a standing; returns the newest one, and whether it is news.
  mutating func take(_ status: RuntimeActorStatus) -> (status: RuntimeActorStatus, isNews: Bool) {
    guard let present = entries[status.actor]?.status else {
      entries[status.actor] = Entry(status: status)
      return (status, true)
    }
    guard status.isNewer(than: present) else { return (present, false) }
    entries[status.actor]?.status = status
    return (status, true)
  }

  /// A connection hears of the actor from now on.
  mutating func watch(_ actor: RuntimeActorID, by connection: UInt64) {
    entries[actor]?.watchers.insert(connection)
  }

  /// Remembers what an actor's creator asked for.
  mutating func keep(_ spec: RuntimeActorSpec) { entries[spec.actor]?.spec = spec }

  /// A connection has ended. What nobody asks about any more is forgotten.
  mutating func forget(connection: UInt64) {
    for (actor, entry) in entries where entry.watchers.contains(connection) {
      if entry.watchers.count == 1 {
        entries[actor] = nil
      } else {
        entries[actor]?.watchers.remove(connection)
      }
    }
  }
}
