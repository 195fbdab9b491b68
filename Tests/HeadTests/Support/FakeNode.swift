import IorunContract
import IorunCore

@testable import IorunHead

/// A node's agent without processes: it keeps leases and does as it is told, unless the test says
/// otherwise.
actor FakeNode: AgentService {
  struct Held {
    var grant: LeaseGrant
    var state: LeaseReport.State = .prepared
    var gang: GangStart?
    var usage: RankUsage?
  }

  let id: PeerID
  let facts: NodeFacts
  var desk: (any NodeService)?
  private(set) var held: [LeaseID: Held] = [:]
  private(set) var prepareCalls = 0
  private(set) var forgotten: [LeaseID] = []
  var isUnreachable = false
  var prepareError: IorunError?
  var holdsPreparation = false
  /// The identity that it gives to its ranks, where the test wants a wrong one.
  var executor: PeerID?
  /// A start happens, but its answer is lost.
  var losesStartAnswers = false
  private(set) var startCalls = 0
  /// It says nothing of its tunnel, as an older agent would.
  var losesTunnels = false
  /// Whether it finds every host that it is asked about.
  private var reachesHosts = false

  init(id: PeerID, facts: NodeFacts) {
    self.id = id
    self.facts = facts
  }

  /// Whether the job's grants say that it is not the owner's.
  func isForeign(_ job: JobID) -> Bool {
    held.values.contains { $0.grant.id.job == job && $0.grant.isForeign == true }
  }

  var leases: [LeaseID] { held.keys.sorted() }
  var running: [LeaseID] { held.filter { $0.value.state == .running }.keys.sorted() }
  var reports: [LeaseReport] { leases.compactMap(report) }

  func set(unreachable: Bool) { isUnreachable = unreachable }
  func set(prepareError: IorunError?) { self.prepareError = prepareError }
  func set(holdsPreparation: Bool) { self.holdsPreparation = holdsPreparation }
  func set(executor: PeerID?) { self.executor = executor }
  func set(losesStartAnswers: Bool) { self.losesStartAnswers = losesStartAnswers }
  func gang(of lease: LeaseID) -> GangStart? { held[lease]?.gang }
  func grant(of lease: LeaseID) -> LeaseGrant? { held[lease]?.grant }

  static func executor(_ lease: LeaseID, on node: PeerID) -> PeerID {
    let job = lease.job.description.utf8.reduce(UInt64(0)) { $0 &* 131 &+ UInt64($1) }
    return PeerID(high: node.low << 32 | UInt64(lease.attempt), low: job << 16 | UInt64(lease.rank))
  }

  private func report(_ lease: LeaseID) -> LeaseReport? {
    held[lease].map {
      LeaseReport(
        id: lease, epoch: $0.grant.epoch, executor: Self.executor(lease, on: id), state: $0.state,
        usage: $0.usage)
    }
  }

  /// Registers with `desk` and does what it orders.
  @discardableResult
  func register(with desk: any NodeService) async throws -> NodeOrders {
    self.desk = desk
    let orders = try await desk.register(
      NodeRegistration(facts: facts, leases: reports), caller: id)
    for lease in orders.stop { held[lease] = nil }
    return orders
  }

  @discardableResult
  func heartbeat() async throws -> NodeOrders? {
    let orders = try await desk?.heartbeat(
      leases: leases, roundTripMilliseconds: 1, caller: id)
    for lease in orders?.stop ?? [] { held[lease] = nil }
    return orders
  }

  /// A rank's process ends.
  func end(
    _ lease: LeaseID, _ cause: ExitCause, outputs: OutputList? = nil, lastLines: [String] = [],
    usage: RankUsage? = nil
  ) async throws {
    held[lease]?.usage = usage
    held[lease]?.state = .ended(cause, outputs: outputs, lastLines: lastLines)
    try await tell(lease)
  }

  func tell(_ lease: LeaseID) async throws {
    if let report = report(lease) { try await desk?.report(report, caller: id) }
  }

  /// The agent is killed and started again: it holds nothing.
  func restart() { held = [:] }

  func prepare(_ grant: LeaseGrant, caller: PeerID) async throws -> LeasePrepared {
    try reach()
    prepareCalls += 1
    if let prepareError { throw prepareError }
    if held[grant.id] == nil { held[grant.id] = Held(grant: grant) }
    while holdsPreparation { try await Task.sleep(for: .milliseconds(1)) }
    try reach()
    return LeasePrepared(
      executor: executor ?? Self.executor(grant.id, on: id),
      rendezvousPort: UInt16(2000 + grant.id.rank), tunnel: tunnel(grant))
  }

  /// Its end of the gang's tunnel, where there is one; its number is its key.
  private func tunnel(_ grant: LeaseGrant) -> TunnelMember? {
    guard let seat = grant.network, seat.nodeCount > 1, !losesTunnels else { return nil }
    return TunnelMember(
      publicKey: [UInt8](repeating: UInt8(truncatingIfNeeded: id.low), count: 32),
      endpoints: [SocketAddress(v4: 192, 0, 2, UInt8(truncatingIfNeeded: id.low), port: 4000)])
  }

  func set(losesTunnels: Bool) { self.losesTunnels = losesTunnels }

  func start(_ lease: LeaseID, epoch: Int64, gang: GangStart, caller: PeerID) async throws {
    startCalls += 1
    try reach()
    if held[lease]?.state == .prepared {
      held[lease]?.state = .running
      held[lease]?.gang = gang
    }
    if losesStartAnswers { throw IorunError(.timedOut, "no answer in time") }
  }

  func stop(_ lease: LeaseID, cause: ExitCause, caller: PeerID) async throws {
    try reach()
    guard let state = held[lease]?.state else { return }
    if case .ended = state { return }
    held[lease]?.state = .ended(cause, outputs: nil, lastLines: [])
    Task { try await tell(lease) }
  }

  func forget(_ lease: LeaseID, caller: PeerID) async throws {
    try reach()
    held[lease] = nil
    forgotten.append(lease)
  }

  private(set) var passes: [ClientPass] = []

  func admit(_ pass: ClientPass, caller: PeerID) async throws {
    try reach()
    passes.append(pass)
  }

  func set(reachesHosts: Bool) { self.reachesHosts = reachesHosts }

  func reaches(_ address: String, milliseconds: Int, caller: PeerID) async throws -> Bool {
    try reach()
    return reachesHosts
  }

  private func reach() throws {
    if isUnreachable { throw IorunError(.unreachable, "no answer") }
  }
}
