public import IorunCore
internal import IorunCrypto
internal import Synchronization

/// Which keys are known and what they may do: a copy in memory of the peers and tickets on disk, for
/// the handshake's authentication, which cannot wait for a database.
public final class PeerDirectory: Sendable {
  private struct State {
    var keys: [[UInt8]: PeerID] = [:]
    var roles: [PeerID: Role] = [:]
    /// The tenant of each peer that has one; of revoked ones, too: their jobs stay their tenant's.
    var owners: [PeerID: String] = [:]
    /// What each peer's ticket said of it.
    var labels: [PeerID: [String: String]] = [:]
    /// Every peer and ticket there ever was: revoking one frees nothing.
    var known: Set<PeerID> = []
    /// Peers of which the tenant or the labels changed since that was asked last.
    var changed: Set<PeerID> = []
  }

  private let state = Mutex(State())

  init(peers: [PeerRecord], tickets: [TicketRecord]) {
    for ticket in tickets { add(ticket) }
    for peer in peers { add(peer) }
  }

  /// Whether the owner of a Curve25519 public key may connect: its peer id, and its role, which a
  /// ticket does not have. Tickets that are expired, spent or revoked connect as well, so that their
  /// holder gets a clear answer. `nil` for a stranger.
  public func admits(publicKey: [UInt8]) -> (peer: PeerID, role: Role?)? {
    state.withLock { state in
      guard let peer = state.keys[publicKey] else { return nil }
      return (peer, state.roles[peer])
    }
  }

  /// The role of an admitted peer; `nil` for tickets and strangers.
  public func role(of peer: PeerID) -> Role? { state.withLock { $0.roles[peer] } }

  /// True where both belong to the same tenant, and to one at all.
  func areOfOneTenant(_ one: PeerID, _ other: PeerID) -> Bool {
    state.withLock { state in
      state.owners[one].map { $0 == state.owners[other] } ?? false
    }
  }

  /// A peer and all others of its tenant.
  func tenant(of peer: PeerID) -> Set<PeerID> {
    state.withLock { state in
      guard let owner = state.owners[peer] else { return [peer] }
      return Set(state.owners.lazy.filter { $0.value == owner }.map(\.key)).union([peer])
    }
  }

  /// The tenant of a peer; `nil` where it has none.
  func owner(of peer: PeerID) -> String? { state.withLock { $0.owners[peer] } }

  /// The name of the peer's tenant; its own id where it belongs to itself alone.
  func tenantName(of peer: PeerID) -> String {
    state.withLock { $0.owners[peer] } ?? peer.description
  }

  /// What the peer's ticket said of it.
  func labels(of peer: PeerID) -> [String: String] { state.withLock { $0.labels[peer] } ?? [:] }

  /// The peers of which the tenant or the labels changed since the last call: for the one who keeps them.
  func takeChanged() -> Set<PeerID> {
    state.withLock { state in
      defer { state.changed = [] }
      return state.changed
    }
  }

  /// Whether this is or was a peer or a ticket of the network.
  func isKnown(_ peer: PeerID) -> Bool { state.withLock { $0.known.contains(peer) } }

  /// The id of the peer that owns a public key.
  static func id(of publicKey: [UInt8]) throws -> PeerID {
    guard publicKey.count == 32,
      let id = PeerID(bytes: SHA256.digest(of: publicKey).bytes.prefix(PeerID.byteCount))
    else {
      throw IorunError(.malformed, "a public key has 32 bytes, this one has \(publicKey.count)")
    }
    return id
  }

  func add(_ peer: PeerRecord) {
    state.withLock { state in
      state.known.insert(peer.id)
      state.changed.insert(peer.id)
      state.owners[peer.id] = peer.owner.isEmpty ? nil : peer.owner
      state.labels[peer.id] = peer.labels.isEmpty ? nil : peer.labels
      if peer.revokedAt == nil {
        state.keys[peer.publicKey] = peer.id
        state.roles[peer.id] = peer.role
      } else {
        state.keys[peer.publicKey] = nil
        state.roles[peer.id] = nil
      }
    }
  }

  func add(_ ticket: TicketRecord) {
    state.withLock { state in
      state.known.insert(ticket.peer)
      state.keys[ticket.publicKey] = ticket.peer
    }
  }
}
