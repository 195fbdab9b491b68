internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The order in which queued jobs are looked at: by priority and waiting, then by what their owners
/// have had of the cluster lately, then by arrival (`GangQueue`, `FairShare`).
///
/// What owners have had is kept in memory: after a restart of the head all begin anew.
struct PlacementLine: Sendable {
  private var shares: FairShare
  private var queue = GangQueue()
  private var pass: GangQueue.Pass?
  private var ids: [JobID] = []
  private var now = 0.0
  /// Owners by number, as the queue knows them.
  private var numbers: [PeerID: Int] = [:]
  /// Jobs of one owner and priority stand in one line, whatever they ask for: each of them is tried.
  private let anyDemand: QueueDemand

  init() throws {
    anyDemand = try QueueDemand(gpus: 1)
    shares = try FairShare(capacity: anyDemand)
  }

  /// Begins a look at the queue.
  ///
  /// - Parameters:
  ///   - waiting: queued jobs in the order in which they were accepted.
  ///   - held: what the ranks of each owner's jobs hold now.
  mutating func begin(
    _ waiting: [JobRecord], held: [PeerID: [(resources: ResourceSet, ranks: Int)]],
    capacity: ResourceSet, now: Double
  ) {
    self.now = now
    shares.setCapacity(QueueDemand(capacity))
    for owner in Set(held.keys).union(numbers.keys) {
      let gangs = (held[owner] ?? []).map { QueueDemand($0.resources, ranks: $0.ranks) }
      shares.setHeld(gangs.reduce(.zero, +), by: number(of: owner), atSeconds: now)
    }
    queue = GangQueue()
    ids = waiting.map(\.id)
    for (index, record) in waiting.enumerated() {
      // What is stored was checked when it was accepted; a stored row that was not waits as usual.
      let priority = record.spec.priority ?? JobLimits.usualPriority
      let entry = GangQueue.Entry(
        id: index, tenant: number(of: record.owner),
        priority: min(
          max(priority, JobLimits.priorities.lowerBound), JobLimits.priorities.upperBound),
        demand: anyDemand,
        waitingSinceSeconds: record.submittedAt.isFinite ? record.submittedAt : now)
      try? queue.insert(entry)
    }
    pass = queue.pass(shares: shares, atSeconds: now)
  }

  /// The next job to look at; each comes once.
  mutating func next() -> JobID? {
    guard let pass, let entry = queue.first(in: pass) else { return nil }
    queue.remove(entry.id)
    return ids.indices.contains(entry.id) ? ids[entry.id] : nil
  }

  /// The job that was looked at has been placed: its owner's share has grown.
  mutating func placed(_ record: JobRecord) {
    guard var pass else { return }
    let owner = number(of: record.owner)
    let gang = record.spec.gang
    shares.take(QueueDemand(gang.resources, ranks: gang.ranks), by: owner, atSeconds: now)
    queue.note(shares, of: owner, in: &pass)
    self.pass = pass
  }

  private mutating func number(of owner: PeerID) -> Int {
    if let number = numbers[owner] { return number }
    numbers[owner] = numbers.count
    return numbers.count - 1
  }
}
