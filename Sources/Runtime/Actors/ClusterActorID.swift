public import IorunCore
public import IorunWire
internal import Synchronization

/// Where a distributed actor of a cluster lives. Travels inside arguments and results.
public struct ClusterActorID: Hashable, Codable, Sendable, CustomStringConvertible {
  /// The actor, through all its incarnations.
  public let actor: RuntimeActorID
  /// The process that runs it; `nil` where the head's directory knows (named, detached and
  /// restartable actors).
  public let host: ProcessAddress?
  /// How often a call is made again that was lost with the actor's process; -1 for without end.
  let maxTaskRetries: Int
  /// Ends the actor when its creator's last reference is gone.
  let token: ActorToken?

  init(
    actor: RuntimeActorID, host: ProcessAddress?, maxTaskRetries: Int = 0,
    token: ActorToken? = nil
  ) {
    self.actor = actor
    self.maxTaskRetries = maxTaskRetries
    self.host = host
    self.token = token
  }

  /// Equal where both name the same actor.
  public static func == (left: ClusterActorID, right: ClusterActorID) -> Bool {
    left.actor == right.actor
  }

  /// Hashes the actor's name.
  public func hash(into hasher: inout Hasher) { hasher.combine(actor) }

  /// The actor's name.
  public var description: String { "actor \(actor)" }

  private enum Keys: String, CodingKey { case a, n, w, r }

  /// Reads an id from a message.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: Keys.self)
    actor = try values.decode(RuntimeActorID.self, forKey: .a)
    token = nil
    maxTaskRetries = try values.decodeIfPresent(Int.self, forKey: .r) ?? 0
    if let node = try values.decodeIfPresent(NodeID.self, forKey: .n) {
      host = ProcessAddress(node: node, worker: try values.decode(WorkerID.self, forKey: .w))
    } else {
      host = nil
    }
  }

  /// Writes it into one. From then on the actor lives as long as its creator's process, or until it
  /// is killed.
  public func encode(to encoder: any Encoder) throws {
    token?.escape()
    var values = encoder.container(keyedBy: Keys.self)
    try values.encode(actor, forKey: .a)
    try values.encodeIfPresent(host?.node, forKey: .n)
    try values.encodeIfPresent(host?.worker, forKey: .w)
    if maxTaskRetries != 0 { try values.encode(maxTaskRetries, forKey: .r) }
  }
}

/// Held by every reference of an actor within its creator's process.
final class ActorToken: Sendable {
  private let state: Mutex<(@Sendable () -> Void)?>

  init(_ release: @escaping @Sendable () -> Void) { state = Mutex(release) }

  deinit { state.withLock { $0.take() }?() }

  /// A reference has left the process, or the actor was ended otherwise.
  func escape() { state.withLock { $0 = nil } }
}
