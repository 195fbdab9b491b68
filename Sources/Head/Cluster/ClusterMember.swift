internal import IorunCore
internal import IorunScheduler
internal import IorunWire

/// One node's runtime side as the head sees it.
struct ClusterMember: Sendable {
  let node: NodeID
  /// Its name, address and host for people, from its registration as a node.
  var facts: NodeFacts
  var total: ResourceAmounts
  /// What it said last that is free, less what it granted since.
  var available: ResourceAmounts
  /// What calls under way ask of it.
  var inFlight = ResourceAmounts()
  var labels: [String: String]
  /// How many requests wait there.
  var waiting = 0
  var roundTripMilliseconds: Double?
  /// False for a node that has not been heard of for a moment.
  var isPlaceable = true
  /// True for a node that has not proved what it is, where it must have.
  var isUnproved = false
  /// True for one whose GPUs have not proved what they are, where they must have: they are not lent.
  var hasUnprovedGPUs = false
  /// Counts its words about what is free: a grant that an update overtook is in that update.
  var updates: UInt64 = 0
  /// The number of the newest of them.
  private(set) var lastUpdate: UInt64 = 0
  /// Shapes of demands that it has just refused: not asked again before it says what is free.
  var refusals: Set<DemandShape> = []
  /// When it was asked to recall idle leases, by the head's clock.
  var recalledAt: Duration?
  /// Calls to it that are under way; cancelled when it is lost.
  var calls: [UInt64: @Sendable () -> Void] = [:]

  /// The node as placement sees it.
  var offer: RuntimeNode {
    var offer = offerOnceProved
    offer.isPlaceable = isPlaceable && !isUnproved
    if hasUnprovedGPUs {
      offer.total = Self.withoutGPUs(offer.total)
      offer.available = Self.withoutGPUs(offer.available)
    }
    return offer
  }

  private static func withoutGPUs(_ amounts: ResourceAmounts) -> ResourceAmounts {
    ResourceAmounts(units: amounts.units.filter { $0.key != ResourceAmounts.gpu })
  }

  /// The same, once it has proved what it is.
  var offerOnceProved: RuntimeNode {
    RuntimeNode(
      node: node, name: facts.name, total: total, available: available - inFlight, labels: labels,
      isPlaceable: isPlaceable, roundTripMilliseconds: roundTripMilliseconds)
  }

  /// True where something of it is not lent for want of proofs.
  var lacksProofs: Bool { isUnproved || hasUnprovedGPUs }

  /// Takes room for a call that begins; give the result to `settle`.
  mutating func reserve(_ amounts: ResourceAmounts) -> Reservation {
    inFlight += amounts
    return Reservation(amounts: amounts, updates: updates)
  }

  /// A call is over: its room is taken, or free again.
  mutating func settle(_ reservation: Reservation, took: Bool) {
    inFlight -= reservation.amounts
    // An update that came meanwhile may count it or not. To count it twice would starve whoever
    // waits; not to count it costs one refused call at most.
    if took, updates == reservation.updates { available -= reservation.amounts }
  }

  /// It has refused a call: it is passed over for that shape until it says what is free. Where it has
  /// said so since the call began, nobody knows which came first, and to hold the refusal against it
  /// could be for good: a node on which nothing changes has nothing to say.
  mutating func refused(_ shape: DemandShape, _ reservation: Reservation) {
    if updates == reservation.updates { refusals.insert(shape) }
  }

  /// Takes the node's word of what is free. False for an older one that a newer one has overtaken.
  mutating func take(_ available: ResourceAmounts, waiting: Int, number: UInt64) -> Bool {
    guard number > lastUpdate else { return false }
    lastUpdate = number
    self.available = available
    self.waiting = max(0, waiting)
    updates += 1
    refusals = []
    return true
  }

  /// Room that a call under way counts on.
  struct Reservation: Sendable {
    let amounts: ResourceAmounts
    let updates: UInt64
  }
}
