internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunPoW

/// Which nodes there are and which of them are alive: registrations, heartbeats, connections, silence.
///
/// How each is judged is ``PeerLiveness``; what that means for work is decided here. A node that is
/// unreachable gets none, and is lost to programs, whose actors begin anew elsewhere; ranks of gangs
/// are given up only once it is dead. A restarted head gives every node it knows a grace to come back.
actor NodeDirectory {
  private struct Entry {
    var record: NodeRecord
    /// As of the last look or word.
    var state: NodeState
    var reason: String?
    var liveness: PeerLiveness
    /// True once it registered with this process.
    var isRegistered = false
    var roundTripMilliseconds: Double?
    /// Leases that it still held when it was told to stop them.
    var draining: Set<LeaseID> = []
    /// When it registered last, by the head's clock.
    var registeredAt = Duration.zero
    /// Why its owner lets it take no new work.
    var ownerHold: String?
    /// When others were asked last whether they reach it.
    var probedAt: Duration?

    /// True where placement sees no difference.
    func looksLike(_ other: Entry) -> Bool {
      state == other.state && isRegistered == other.isRegistered
        && draining.isEmpty == other.draining.isEmpty && ownerHold == other.ownerHold
        && record.isDrained == other.record.isDrained && record.facts == other.record.facts
    }
  }

  /// The entries by node, and which of them changed in what placement looks at.
  private struct Entries {
    private(set) var all: [PeerID: Entry]
    var changed: Set<PeerID>

    init() { (all, changed) = ([:], []) }

    subscript(node: PeerID) -> Entry? {
      get { all[node] }
      set {
        let isNews = all[node].map { old in newValue.map { !$0.looksLike(old) } ?? true } ?? true
        if isNews { changed.insert(node) }
        all[node] = newValue
      }
    }

    /// Changes what placement does not look at: liveness, service, reasons. In place, and for every node
    /// at every tick.
    mutating func quietly(_ node: PeerID, _ change: (inout Entry) -> Void) {
      guard let index = all.index(forKey: node) else { return }
      change(&all.values[index])
    }

    var keys: Dictionary<PeerID, Entry>.Keys { all.keys }
    var values: Dictionary<PeerID, Entry>.Values { all.values }
    var count: Int { all.count }
  }

  private let store: Store
  private let clock: HeadClock
  private let options: HeadOptions
  private var entries = Entries()
  /// The epoch of the proofs that were looked at when changes were told last.
  private var toldEpoch: Int64?
  private var lastTick: Duration
  /// What is on record of nodes' proofs.
  private var marks: [PeerID: DeviceMark] = [:]
  /// The same of their GPUs, by UUID.
  private var gpuMarks: [PeerID: [String: DeviceMark]] = [:]

  /// Why a node that said goodbye has left.
  static let leftReason = "it left the network"
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
        record: record, state: record.hasLeft ? .left : .suspect,
        reason: record.hasLeft ? Self.leftReason : "the head has restarted and waits for it",
        liveness: PeerLiveness(options.liveness, now: now))
    }
  }

  /// A node is here (again). Returns the name under which it is listed. `draining` are leases that
  /// it holds and that nobody wants.
  ///
  /// - Throws: `malformed` for facts that no machine has, `overloaded`, and what the store throws.
  func register(
    _ facts: NodeFacts, draining: Set<LeaseID>, availability: NodeAvailability = .open, node: PeerID
  ) async throws -> String {
    try NodeFactsCheck.check(facts)
    guard entries[node] != nil || entries.count < Self.maximumNodes else {
      throw IorunError(
        .overloaded, "the network holds its most of \(Self.maximumNodes) nodes",
        remedy: "Join another network")
    }
    var facts = facts
    facts.name = name(for: facts.name, node: node)
    let record = NodeRecord(
      id: node, facts: facts, lastSeenAt: clock.now(), hasLeft: false,
      isDrained: entries[node]?.record.isDrained ?? false,
      service: entries[node]?.record.service ?? ServiceRecord())
    let roundTrip = entries[node]?.roundTripMilliseconds
    var liveness = PeerLiveness(options.liveness, now: clock.elapsed())
    if let roundTrip { liveness.measured(roundTrip: .milliseconds(roundTrip)) }
    entries[node] = Entry(
      record: record, state: .alive, liveness: liveness, isRegistered: true,
      roundTripMilliseconds: roundTrip, draining: draining, registeredAt: clock.elapsed(),
      ownerHold: availability.hold)
    try await store.save([record])
    return facts.name
  }

  /// A node is still here. Returns its name, or `nil` where it has to register (again).
  func heartbeat(_ node: PeerID, leases: [LeaseID], roundTripMilliseconds: Double?) -> String? {
    guard let entry = entries[node], entry.isRegistered, entry.state.mayComeBack else { return nil }
    forgiveStall(clock.elapsed())
    if entry.state != .alive { entries[node]?.state = .alive }
    entries.quietly(node) {
      $0.liveness.heard(at: clock.elapsed())
      $0.record.lastSeenAt = clock.now()
      $0.reason = nil
    }
    if let roundTripMilliseconds, roundTripMilliseconds.isFinite, roundTripMilliseconds >= 0 {
      entries[node]?.roundTripMilliseconds = roundTripMilliseconds
      entries[node]?.liveness.measured(roundTrip: .milliseconds(min(roundTripMilliseconds, 60_000)))
    }
    if !entry.draining.isEmpty { entries[node]?.draining.formIntersection(leases) }
    return entry.record.facts.name
  }

  /// A node goes for good.
  func leave(_ node: PeerID, reason: String = leftReason) async throws {
    guard var entry = entries[node] else { return }
    entry.state = .left
    entry.record.hasLeft = true
    entry.record.lastSeenAt = clock.now()
    entry.reason = reason
    entries[node] = entry
    try await store.save([entry.record])
  }

  /// A node gets no new work, or work again. Throws what the store throws.
  func setDrained(_ node: PeerID, _ isDrained: Bool) async throws {
    guard var entry = entries[node] else { return }
    entry.record.isDrained = isDrained
    entries[node] = entry
    try await store.save([entry.record])
  }

  /// What is on record of some nodes' proofs.
  func set(marks changed: [PeerID: DeviceMark]) {
    marks.merge(changed) { $1 }
    entries.changed.formUnion(changed.keys)
  }

  /// The same of their GPUs, by UUID.
  func set(gpuMarks changed: [PeerID: [String: DeviceMark]]) {
    gpuMarks.merge(changed) { $0.merging($1) { $1 } }
    entries.changed.formUnion(changed.keys)
  }

  /// A node's owner lets it take new work, or no more; false where that is no news.
  func setAvailability(_ node: PeerID, _ availability: NodeAvailability) -> Bool {
    guard let entry = entries[node], entry.isRegistered, entry.ownerHold != availability.hold else {
      return false
    }
    entries[node]?.ownerHold = availability.hold
    return true
  }

  /// Looks at every node's silence.
  func tick() {
    let now = clock.elapsed()
    forgiveStall(now)
    // A head that gets no processor hears its nodes' words as late as it looks here.
    let lateness = now - lastTick - options.tick
    // A stall of the head's own is nobody's service and nobody's loss.
    let passed = min(max(.zero, now - lastTick), options.tick * 4).inSeconds
    lastTick = now
    for (node, entry) in entries.all where entry.state.mayComeBack {
      var entry = entry
      if lateness > options.usualLateness {
        entry.liveness.excuse(lateness, at: now)
        entries.quietly(node) { $0.liveness = entry.liveness }
      }
      look(at: node, entry, now)
    }
    for (node, entry) in entries.all where entry.isRegistered && !entry.record.hasLeft {
      let isServing = entry.state == .alive || entry.state == .suspect
      guard isServing || entry.liveness.silence(at: now) < ServiceRecord.awaited else { continue }
      entries.quietly(node) { $0.record.service.passed(seconds: passed, isServing: isServing) }
    }
  }

  /// Keeps what nodes served so far. Throws what the store throws.
  func saveService() async throws {
    try await store.save(entries.values.filter(\.isRegistered).map(\.record))
  }

  /// A head that was itself stopped for a while heard nothing for that long: not the nodes' fault. What
  /// its kernel kept for it, such as the ends of connections, may be heard before its first tick.
  private func forgiveStall(_ now: Duration) {
    let stall = now - lastTick - options.tick * 2
    guard stall > options.stallAfter else { return }
    lastTick = now
    for node in Array(entries.keys) {
      entries.quietly(node) { $0.liveness.forgive(stall, at: now) }
    }
  }

  private func look(at node: PeerID, _ entry: Entry, _ now: Duration) {
    guard entry.isRegistered else {
      if entry.liveness.silence(at: now) >= options.restartGrace {
        entries[node]?.state = .dead
        entries[node]?.reason =
          "it did not come back within \(options.restartGrace.components.seconds) s after the head "
          + "restarted"
      }
      return
    }
    let verdict = entry.liveness.verdict(at: now)
    let state = NodeState(verdict.state)
    if entries[node]?.state != state { entries[node]?.state = state }
    if verdict.state == .dead, entry.state != .dead {
      entries.quietly(node) { $0.record.service.lost() }
    }
    entries.quietly(node) { $0.reason = verdict.reason }
  }

  /// Nodes that have fallen silent, with who may be asked whether they still reach them. Each is
  /// returned again only after a while.
  func silentNodes() -> [(node: PeerID, address: String, witnesses: [NodeSnapshot])] {
    let now = clock.elapsed()
    let silent = entries.all.filter { _, entry in
      entry.isRegistered && (entry.state == .suspect || entry.state == .unreachable)
        && entry.probedAt.map { now - $0 >= options.probeInterval } ?? true
    }
    guard !silent.isEmpty else { return [] }
    let alive = entries.values.filter { $0.state == .alive && $0.isRegistered }
    return silent.map { node, entry in
      entries[node]?.probedAt = now
      let witnesses = alive.shuffled().prefix(options.witnesses).map(snapshot)
      return (node, entry.record.facts.address, witnesses)
    }
  }

  /// Another node reaches the host of a node that is silent: counts, and is told, at once, not from
  /// the next tick on.
  func reached(_ node: PeerID, by witness: String) {
    let now = clock.elapsed()
    forgiveStall(now)
    guard let entry = entries[node], entry.isRegistered, entry.state.mayComeBack else { return }
    // An answer that comes after the node's own word says nothing new, and must not outlast it.
    guard entry.state != .alive else { return }
    entries[node]?.liveness.reached(by: witness, at: now)
    if let entry = entries[node] { look(at: node, entry, now) }
  }

  /// How long ago each node's connection was last known to stand.
  func heard(_ ages: [PeerID: LinkBoard.Age]) {
    let now = clock.elapsed()
    for (node, age) in ages {
      entries.quietly(node) {
        $0.liveness.heardBytes(at: now - age.heard)
        if let acknowledged = age.acknowledged {
          $0.liveness.acknowledged(at: now - acknowledged)
        }
      }
    }
  }

  /// How many nodes there are, of all states.
  var count: Int { entries.count }

  /// All nodes, by name.
  func snapshot() -> [NodeSnapshot] {
    entries.values.map(snapshot)
      .sorted { ($0.facts.name, $0.id) < ($1.facts.name, $1.id) }
  }

  /// The nodes that changed, in what placement looks at, since the last call, and `others`: for the one
  /// who keeps them.
  func takeChanges(and others: Set<PeerID> = []) -> [NodeSnapshot] {
    let epoch = EpochSchedule.epoch(atSeconds: Int64(clock.now()))
    if options.proofs.mode != .off, epoch != toldEpoch {
      // What was proved in time may not be any more.
      entries.changed.formUnion(entries.keys)
    }
    toldEpoch = epoch
    defer { entries.changed = [] }
    return entries.changed.union(others).compactMap { entries[$0].map(snapshot) }
  }

  /// One node, where it is registered with this head.
  func node(_ node: PeerID) -> NodeSnapshot? {
    guard let entry = entries[node], entry.isRegistered else { return nil }
    return snapshot(entry)
  }

  /// What the records of a node's proofs say now; `nil` where this head asks for none.
  func mark(of node: PeerID) -> DeviceMark? {
    guard options.proofs.mode != .off else { return nil }
    return (marks[node] ?? DeviceMark()).asOf(
      epoch: EpochSchedule.epoch(atSeconds: Int64(clock.now())))
  }

  private func snapshot(_ entry: Entry) -> NodeSnapshot {
    let now = clock.elapsed()
    let fence = options.fenceAfter + options.fenceMargin
    // One that is back stops them now; one that never says so holds nobody up for longer.
    let isStopping = !entry.draining.isEmpty && now - entry.registeredAt < fence
    let epoch = EpochSchedule.epoch(atSeconds: Int64(clock.now()))
    let mark = marks[entry.record.id] ?? DeviceMark()
    let mode = options.proofs.mode
    let gpus = entry.record.facts.gpus
    let gpuMarks = (mode == .off ? nil : gpuMarks[entry.record.id] ?? [:])?
      .filter { mark in gpus.contains { $0.uuid == mark.key } }
      .mapValues { $0.asOf(epoch: epoch) }
    return NodeSnapshot(
      id: entry.record.id, facts: entry.record.facts, state: entry.state,
      isDraining: !entry.draining.isEmpty, isDrained: entry.record.isDrained,
      ownerHold: entry.ownerHold,
      lastSeenAt: entry.record.lastSeenAt, roundTripMilliseconds: entry.roundTripMilliseconds,
      silence: entry.liveness.silence(at: now), isStopping: isStopping, reason: entry.reason,
      registeredAt: entry.registeredAt,
      reliability: entry.record.service.reliability,
      mark: mode == .off ? nil : mark.asOf(epoch: epoch),
      isUnproved: mode == .enforce && !mark.isVerified(inEpoch: epoch),
      gpuMarks: gpuMarks ?? [:],
      // Which GPU of a node a job gets, the node decides: all must be what they claim.
      hasUnprovedGPUs: mode == .enforce
        && gpus.contains { gpuMarks?[$0.uuid]?.isVerified(inEpoch: epoch) != true })
  }

  /// A node's connection to the head ended, or is there again. `wasClosed`: the node's kernel said so.
  func connection(of node: PeerID, isUp: Bool, wasClosed: Bool = false) {
    guard let entry = entries[node], entry.isRegistered, entry.state.mayComeBack else { return }
    let now = clock.elapsed()
    forgiveStall(now)
    if isUp {
      entries[node]?.liveness.connected()
    } else {
      entries[node]?.liveness.disconnected(at: now, wasClosed: wasClosed)
      if let entry = entries[node] { look(at: node, entry, now) }
    }
  }

  /// Why the ranks on `node` count as lost; `nil` while they do not.
  func lossReason(of node: PeerID) -> String? {
    guard let entry = entries[node] else { return "the head does not know it any more" }
    return entry.state == .dead || entry.state == .left ? entry.reason : nil
  }

  /// How long a node that should have spoken has been silent; `nil` where it has spoken, or where this
  /// head has not heard it yet and waits for it.
  func silence(of node: PeerID) -> Duration? {
    guard let entry = entries[node], entry.isRegistered,
      entry.state == .suspect || entry.state == .unreachable
    else { return nil }
    return entry.liveness.silence(at: clock.elapsed())
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
