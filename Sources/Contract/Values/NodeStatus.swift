public import IorunCore

/// Whether a node can be given work.
public enum NodeState: String, Codable, Sendable, Hashable {
  /// Heard from as often as it is used to be.
  case alive
  /// Silent for longer than is usual for it, or its connection broke; gets no new work.
  case suspect
  /// Out of the head's reach, and not known to be gone. Its reason says who reaches it still, if
  /// anybody does. Its ranks may run; programs' tasks and actors go on elsewhere.
  case unreachable
  /// Gone: its agent ended, or nobody has reached it for long. Its ranks count as lost.
  case dead
  /// It said goodbye.
  case left
}

/// What the head knows of a node.
public struct NodeStatus: Hashable, Codable, Sendable {
  /// The node's peer id.
  public var id: PeerID
  /// What it says of its machine.
  public var facts: NodeFacts
  /// Whether it can be given work.
  public var state: NodeState
  /// What is not leased.
  public var free: ResourceSet
  /// How many ranks it holds.
  public var leases: Int
  /// Seconds since 1970 (UTC) when the head last heard from it.
  public var lastSeenAt: Double
  /// The mesh round trip the node measured last, in milliseconds.
  public var roundTripMilliseconds: Double?
  /// Why it is in its state, where that is not `alive`.
  public var reason: String?
  /// True where an operator wants it to get no new work.
  public var isDrained: Bool
  /// Whose node it is: the owner that its ticket named, else its own id; `nil` from earlier heads.
  public var supplier: String?
  /// The part of its promised time that it served, from 0 to 1; `nil` from earlier heads.
  public var reliability: Double?
  /// Why the place that it claims is not believed; `nil` where nothing contradicts it.
  public var placeDoubt: String?
  /// How fast bytes went from it to other nodes when that was tried last: the median over them, in
  /// millions of bits a second.
  public var sendMegabitsPerSecond: Double?
  /// The same from other nodes to it.
  public var receiveMegabitsPerSecond: Double?
  /// How much one of its probes of the head differs from the next, smoothed, in milliseconds (RFC 3550,
  /// 6.4.1); `nil` where it has not probed yet.
  public var jitterMilliseconds: Double?
  /// The part of these probes that got no answer, smoothed, from 0 to 1.
  public var lostPart: Double?
  /// Why its owner lets it take no new work; `nil` where the owner does.
  public var ownerHold: String?
  /// What the records of its proofs say; `nil` where the head does not ask for any.
  public var mark: DeviceMark?
  /// The same of its GPUs' proofs, by UUID; `nil` where the head does not ask for any.
  public var gpuMarks: [String: DeviceMark]?

  /// Describes a node.
  public init(
    id: PeerID, facts: NodeFacts, state: NodeState, free: ResourceSet, leases: Int,
    lastSeenAt: Double, roundTripMilliseconds: Double?, reason: String? = nil,
    isDrained: Bool = false, ownerHold: String? = nil, supplier: String? = nil,
    reliability: Double? = nil, placeDoubt: String? = nil, sendMegabitsPerSecond: Double? = nil,
    receiveMegabitsPerSecond: Double? = nil, mark: DeviceMark? = nil,
    gpuMarks: [String: DeviceMark]? = nil
  ) {
    self.gpuMarks = gpuMarks
    self.mark = mark
    self.supplier = supplier
    self.reliability = reliability
    self.placeDoubt = placeDoubt
    self.sendMegabitsPerSecond = sendMegabitsPerSecond
    self.receiveMegabitsPerSecond = receiveMegabitsPerSecond
    self.reason = reason
    self.isDrained = isDrained
    self.ownerHold = ownerHold
    self.id = id
    self.facts = facts
    self.state = state
    self.free = free
    self.leases = leases
    self.lastSeenAt = lastSeenAt
    self.roundTripMilliseconds = roundTripMilliseconds
  }
}

/// A node's first words to a head, again after every reconnect.
public struct NodeRegistration: Hashable, Codable, Sendable {
  /// What the machine is.
  public var facts: NodeFacts
  /// Every lease the node holds, so that a restarted head can reconcile.
  public var leases: [LeaseReport]
  /// Whether the owner lets it take new work; `nil` from nodes of an earlier release, which do.
  public var availability: NodeAvailability?

  /// Describes a registration.
  public init(
    facts: NodeFacts, leases: [LeaseReport], availability: NodeAvailability = .open
  ) {
    self.facts = facts
    self.leases = leases
    self.availability = availability
  }
}

/// The head's answer to a registration or a heartbeat.
public struct NodeOrders: Hashable, Codable, Sendable {
  /// The name under which the head lists the node.
  public var name: String
  /// How often to send a heartbeat, in milliseconds.
  public var heartbeatMilliseconds: Int
  /// After so many milliseconds without an answer from the head, the node stops all ranks.
  public var fenceMilliseconds: Int
  /// Leases that the head does not know or no longer wants: stop and forget them.
  public var stop: [LeaseID]
  /// True when the head does not know the node (it restarted): register again.
  public var registerAgain: Bool
  /// Grows when keys of the authority or revocations change: a node that knows a smaller number
  /// renews.
  public var trustSequence: Int64
  /// What the records of its proofs say of the node; `nil` where the head asks for none.
  public var mark: DeviceMark?

  /// Describes orders.
  public init(
    name: String, heartbeatMilliseconds: Int, fenceMilliseconds: Int, stop: [LeaseID],
    registerAgain: Bool, trustSequence: Int64 = 0, mark: DeviceMark? = nil
  ) {
    self.trustSequence = trustSequence
    self.mark = mark
    self.name = name
    self.heartbeatMilliseconds = heartbeatMilliseconds
    self.fenceMilliseconds = fenceMilliseconds
    self.stop = stop
    self.registerAgain = registerAgain
  }
}
