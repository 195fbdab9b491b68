internal import IorunContract
internal import IorunCore
internal import IorunMesh

/// Which nodes there are and which of them are alive: registrations, heartbeats, silence.
///
/// A node is alive while it is heard from, suspect after a short silence, dead after a long one. For
/// runtime jobs it is lost sooner, after a silence that is unusual for it: their actors begin anew
/// elsewhere at once, while ranks of gangs are given up only when their fence must have stopped them.
/// A restarted head gives every node it knows a grace to come back.
actor NodeDirectory {
  private struct Entry {
    var record: NodeRecord
    var state: NodeState
    /// When its silence began, by the head's clock.
    var heardAt: Duration
    /// How long its silence may last.
    var patience: Duration
    /// True once it registered with this process.
    var isRegistered = false
    var roundTripMilliseconds: Double?
    /// Leases that it still held when it was told to stop them.
    var draining: Set<LeaseID> = []
    /// When it registered last, by the head's clock.
    var registeredAt = Duration.zero
    var lossReason: String?
    /// How unusual its silence is.
    var detector: PhiAccrual
    /// When its connection broke, where no other has come since.
    var brokenAt: Duration?
  }

  private let store: Store
  private let clock: HeadClock
  private let options: HeadOptions
  private var entries: [PeerID: Entry] = [:]
  private var lastTick: Duration

  /// The most nodes that one network holds.
  static let maximumNodes = 100_000

  init(store: Store, clock: HeadClock, options: HeadOptions) async throws {
    self.store = store
    self.clock = clock
    self.options = options
    let now = clock.elapsed()
    lastTick = now
    for record in try await store.nodes() {
      entries[record.id] = Entry(
        record: record, state: record.hasLeft ? .left : .suspect, heardAt: now,
        patience: options.restartGrace,
        detector: PhiAccrual(expected: options.heartbeat, now: now))
    }
  }

  /// A node is here (again). Returns the name under which it is listed. `draining` are leases that
  /// it holds and that nobody wants.
  ///
  /// - Throws: `malformed` for facts that no machine has, `overloaded`, and what the store throws.
  func register(_ facts: NodeFacts, draining: Set<LeaseID>, node: PeerID) async throws -> String {
    try NodeFactsCheck.check(facts)
    guard entries[node] != nil || entries.count < Self.maximumNodes else {
      throw IorunError(
        .overloaded, "the network holds its most of \(Self.maximumNodes) nodes",
        remedy: "Join another network")
    }
    var facts = facts
    facts.name = name(for: facts.name, node: node)
    let record = NodeRecord(id: node, facts: facts, lastSeenAt: clock.now(), hasLeft: false)
    let roundTrip = entries[node]?.roundTripMilliseconds
    entries[node] = Entry(
      record: record, state: .alive, heardAt: clock.elapsed(), patience: options.deadAfter,
      isRegistered: true, roundTripMilliseconds: roundTrip, draining: draining,
      registeredAt: clock.elapsed(),
      detector: PhiAccrual(expected: options.heartbeat, now: clock.elapsed()))
    try await store.save([record])
    return facts.name
  }

  /// A node is still here. Returns its name, or `nil` where it has to register (again).
  func heartbeat(_ node: PeerID, leases: [LeaseID], roundTripMilliseconds: Double?) -> String? {
    guard let entry = entries[node], entry.isRegistered,
      entry.state == .alive
        || entry.state == .suspect
    else { return nil }
    entries[node]?.heardAt = clock.elapsed()
    entries[node]?.detector.heard(at: clock.elapsed())
    entries[node]?.brokenAt = nil
    entries[node]?.record.lastSeenAt = clock.now()
    entries[node]?.state = .alive
    if let roundTripMilliseconds, roundTripMilliseconds.isFinite, roundTripMilliseconds >= 0 {
      entries[node]?.roundTripMilliseconds = roundTripMilliseconds
    }
    if !entry.draining.isEmpty { entries[node]?.draining.formIntersection(leases) }
    return entry.record.facts.name
  }

  /// A node goes for good.
  func leave(_ node: PeerID) async throws {
    guard var entry = entries[node] else { return }
    entry.state = .left
    entry.record.hasLeft = true
    entry.record.lastSeenAt = clock.now()
    entry.lossReason = "it left the network"
    entries[node] = entry
    try await store.save([entry.record])
  }

  /// Looks at every node's silence.
  func tick() {
    let now = clock.elapsed()
    // A head that was itself stopped for a while heard nothing for that long: not the nodes' fault.
    let stall = now - lastTick - options.tick * 2
    lastTick = now
    if stall > options.suspectAfter / 2 {
      for node in entries.keys {
        entries[node]?.heardAt += stall
        entries[node]?.detector.forgive(stall)
      }
    }
    for (node, entry) in entries where entry.state == .alive || entry.state == .suspect {
      let silence = now - entry.heardAt
      if silence >= entry.patience {
        entries[node]?.state = .dead
        let seconds = entry.patience.components.seconds
        entries[node]?.lossReason =
          entry.isRegistered
          ? "no word came from it for \(seconds) s"
          : "it did not come back within \(seconds) s after the head restarted"
      } else if silence >= options.suspectAfter || entry.brokenAt != nil, entry.state == .alive {
        entries[node]?.state = .suspect
      }
    }
  }

  /// All nodes, by name.
  func snapshot() -> [NodeSnapshot] {
    entries.values.map(snapshot)
      .sorted { ($0.facts.name, $0.id) < ($1.facts.name, $1.id) }
  }

  /// One node, where it is registered with this head.
  func node(_ node: PeerID) -> NodeSnapshot? {
    guard let entry = entries[node], entry.isRegistered else { return nil }
    return snapshot(entry)
  }

  private func snapshot(_ entry: Entry) -> NodeSnapshot {
    let now = clock.elapsed()
    let fence = options.fenceAfter + options.fenceMargin
    let isCutOff = entry.state == .dead && now - entry.heardAt < fence
    // One that is back stops them now; one that never says so holds nobody up for longer.
    let isStopping = !entry.draining.isEmpty && now - entry.registeredAt < fence
    return NodeSnapshot(
      id: entry.record.id, facts: entry.record.facts, state: entry.state,
      isDraining: !entry.draining.isEmpty, lastSeenAt: entry.record.lastSeenAt,
      roundTripMilliseconds: entry.roundTripMilliseconds,
      mayStillRun: isCutOff || isStopping,
      lossReason: entry.lossReason, isLostForRuntime: isLostForRuntime(entry, now))
  }

  /// A broken connection is evidence: then only the time for a new one is allowed on top of what is
  /// usual for the node.
  private func isLostForRuntime(_ entry: Entry, _ now: Duration) -> Bool {
    guard entry.isRegistered, entry.state == .suspect else { return false }
    let pause = entry.brokenAt == nil ? options.runtimePause : .zero
    return entry.detector.suspicion(at: now, pause: pause) > PhiAccrual.threshold
  }

  /// A node's connection to the head broke, or is there again.
  func connection(of node: PeerID, isUp: Bool) {
    guard let entry = entries[node], entry.isRegistered else { return }
    entries[node]?.brokenAt = isUp ? nil : entry.brokenAt ?? clock.elapsed()
  }

  /// Why the ranks on `node` count as lost; `nil` while they do not.
  func lossReason(of node: PeerID) -> String? {
    guard let entry = entries[node] else { return "the head does not know it any more" }
    return entry.state == .dead || entry.state == .left ? entry.lossReason : nil
  }

  /// The wished name, or the same with a number where another node has it.
  private func name(for wish: String, node: PeerID) -> String {
    let wish = NodeFactsCheck.cleanName(wish)
    let taken = Set(entries.values.lazy.filter { $0.record.id != node }.map(\.record.facts.name))
    if let present = entries[node]?.record.facts.name, present.hasPrefix(wish),
      !taken.contains(present), present == wish || isNumbered(present, from: wish)
    {
      return present
    }
    if !taken.contains(wish) { return wish }
    var number = 2
    while taken.contains("\(wish)-\(number)") { number += 1 }
    return "\(wish)-\(number)"
  }

  private func isNumbered(_ name: String, from wish: String) -> Bool {
    name.hasPrefix(wish + "-") && Int(name.dropFirst(wish.count + 1)) != nil
  }
}
