internal import IorunCore
internal import IorunWire

/// A runtime job at the head.
struct ClusterJob: Sendable {
  var runtime: RuntimeJob
  /// Why its driver is gone; it lives on only for its detached actors and groups.
  var endReason: String?
  /// Seconds since 1970 (UTC) when its driver went.
  var endedAt: Double?
}

/// An actor at the head, through all its incarnations.
struct LiveActor: Sendable {
  var spec: RuntimeActorSpec
  var status: RuntimeActorStatus
  /// Nodes that hear of every change.
  var watchers: Set<NodeID>
  /// True while a node is asked to start it.
  var isStarting = false
  /// What its node said of its process before the answer to the order to start it was here.
  var early: RuntimeActorStatus?
  /// True once it is to end in order: it is not started anew.
  var isReleased = false
  /// True where it was killed in order to begin anew.
  var restartsOnDeath = false
  /// True once it was placed: it waits for a new node as long as it takes.
  var wasPlaced = false
  /// True where only its creator's node says where it is: an earlier head promised it to a node that
  /// has not said so itself.
  var isHearsay = false
  /// Its place in the line, and since when it waits.
  var place: UInt64
  var since: Duration

  var isDead: Bool { status.state == .dead }
  /// The process that it is; `nil` while it has none.
  var process: ProcessAddress? {
    guard let node = status.node, let worker = status.worker else { return nil }
    return ProcessAddress(node: node, worker: worker)
  }
  /// True where it has, or is about to have, a process.
  var isPlaced: Bool { status.state == .placed || status.state == .alive }
  var mayRestart: Bool {
    !isReleased && (spec.maxRestarts < 0 || status.restarts < spec.maxRestarts)
  }
}

/// A request for a lease as its holder names it.
struct LeaseTicket: Hashable, Sendable {
  var holder: ProcessAddress
  var ticket: UInt64
}

/// The last requests that were taken back before they came, or after they were answered.
struct DoomedLeases: Sendable {
  private static let limit = 4096
  private var tickets: Set<LeaseTicket> = []
  private var ring: [LeaseTicket] = []
  private var next = 0

  mutating func add(_ ticket: LeaseTicket) {
    guard tickets.insert(ticket).inserted else { return }
    if ring.count < Self.limit {
      ring.append(ticket)
    } else {
      tickets.remove(ring[next])
      ring[next] = ticket
      next = (next + 1) % Self.limit
    }
  }

  mutating func take(_ ticket: LeaseTicket) -> Bool { tickets.remove(ticket) != nil }
}

/// The last actors whose end was asked for before their beginning.
struct DoomedActors: Sendable {
  struct Doom: Sendable {
    let reason: String
    /// It begins all the same, where it has restarts: that is its first.
    let mayRestart: Bool
  }

  private static let limit = 4096
  private var dooms: [RuntimeActorID: Doom] = [:]
  private var order: [RuntimeActorID] = []

  mutating func add(_ actor: RuntimeActorID, _ reason: String, mayRestart: Bool = false) {
    if let present = dooms[actor], !present.mayRestart { return }
    let doom = Doom(reason: reason, mayRestart: mayRestart)
    guard dooms.updateValue(doom, forKey: actor) == nil else { return }
    order.append(actor)
    if order.count > Self.limit { dooms[order.removeFirst()] = nil }
  }

  mutating func take(_ actor: RuntimeActorID) -> Doom? {
    guard let doom = dooms.removeValue(forKey: actor) else { return nil }
    order.removeAll { $0 == actor }
    return doom
  }
}

/// A placement group at the head.
struct LiveGroup: Sendable {
  var spec: PlacementGroupSpec
  var state: PlacementGroupStatus.State
  /// Where each bundle is, once committed.
  var nodes: [NodeID?]
  var reason: String?
  /// True while its nodes are asked.
  var isReserving = false
  /// The set of members with which it was found to fit an idle network; looked at again when that set
  /// has changed.
  var fitsMembers: UInt64?
  /// Its place in the line, and since when it waits.
  var place: UInt64
  var since: Duration

  var status: PlacementGroupStatus {
    PlacementGroupStatus(spec, state: state, nodes: nodes, reason: reason)
  }

  /// The indices of its bundles on each node.
  var indices: [NodeID: [Int]] {
    var indices: [NodeID: [Int]] = [:]
    for (index, node) in nodes.enumerated() {
      if let node { indices[node, default: []].append(index) }
    }
    return indices
  }

  func amounts(of indices: [Int]) -> ResourceAmounts {
    indices.reduce(ResourceAmounts()) { $0 + spec.bundles[$1] }
  }
}
