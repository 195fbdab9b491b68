internal import IorunContract
internal import IorunCore
internal import IorunScheduler

/// The order in which queued jobs are looked at: by priority and waiting, then by what their tenants
/// have had of the cluster lately, then by arrival (`GangQueue`, `FairShare`); and whether a tenant's
/// quota lets a job start (`Cohorts`).
///
/// A tenant is the owner that tickets name; a peer without one is a tenant by itself.
struct PlacementLine: Sendable {
  /// What one tenant holds: ranks of each gang, and what each rank takes.
  typealias Held = [String: [(resources: ResourceSet, ranks: Int)]]

  /// A queued job, whose it is, and for how long it has waited.
  typealias Waiting = (record: JobRecord, tenant: String, seconds: Double)

  private var shares: FairShare
  private var queue = GangQueue()
  private var pass: GangQueue.Pass?
  private var ids: [JobID] = []
  private var now = 0.0
  /// Tenants by number, as the queue knows them.
  private var numbers: [String: Int] = [:]
  private(set) var quotas: [String: TenantQuota] = [:]
  private(set) var cohorts = Cohorts([:], capacity: .zero)
  /// What each tenant holds in this pass.
  private(set) var held: [String: QueueDemand] = [:]
  /// Jobs of one tenant and priority stand in one line, whatever they ask for: each of them is tried.
  private let anyDemand: QueueDemand

  /// - Parameters:
  ///   - usage: what tenants had before the head started.
  ///   - quotas: what tenants may take.
  init(usage: [String: FairShare.Usage] = [:], quotas: [TenantQuota] = []) throws {
    anyDemand = try QueueDemand(gpus: 1)
    shares = try FairShare(capacity: anyDemand)
    for (tenant, usage) in usage { shares.restore(usage, of: number(of: tenant)) }
    for quota in quotas { try set(quota) }
  }

  /// What each tenant has had until `now`, to be kept.
  func usage(at now: Double) -> [String: FairShare.Usage] {
    numbers.compactMapValues { shares.usage(of: $0, atSeconds: now) }
  }

  /// A tenant's weighted dominant share lately.
  func share(of tenant: String, at now: Double) -> Double {
    numbers[tenant].map { shares.share(of: $0, atSeconds: now) } ?? 0
  }

  /// A tenant may take this from now on.
  ///
  /// - Throws: `specInvalid` for a weight that is none.
  mutating func set(_ quota: TenantQuota) throws {
    try shares.setWeight(quota.weight, of: number(of: quota.tenant))
    quotas[quota.tenant] = quota
  }

  /// A tenant has no quota any more, and the usual weight.
  mutating func removeQuota(of tenant: String) throws {
    try shares.setWeight(1, of: number(of: tenant))
    quotas[tenant] = nil
  }

  /// Begins a look at the queue.
  ///
  /// - Parameters:
  ///   - waiting: queued jobs in the order in which they were accepted.
  ///   - held: what the ranks of each tenant's jobs hold now.
  mutating func begin(
    _ waiting: [Waiting], held: Held, capacity: ResourceSet, now: Double
  ) {
    self.now = now
    let capacity = QueueDemand(capacity)
    shares.setCapacity(capacity)
    self.held = [:]
    for tenant in Set(held.keys).union(numbers.keys) {
      let gangs = (held[tenant] ?? []).map { QueueDemand($0.resources, ranks: $0.ranks) }
      let sum = gangs.reduce(.zero, +)
      shares.setHeld(sum, by: number(of: tenant), atSeconds: now)
      if !gangs.isEmpty { self.held[tenant] = sum }
    }
    let limited = quotas.filter { $0.value.nominal != ResourceSet() }.mapValues { quota in
      Cohorts.Quota(cohort: quota.cohort, nominal: quota.nominal, borrowing: quota.borrowing)
    }
    cohorts = Cohorts(limited, capacity: capacity)
    queue = GangQueue()
    ids = waiting.map(\.record.id)
    for (index, (record, tenant, seconds)) in waiting.enumerated() {
      let entry = GangQueue.Entry(
        id: index, tenant: number(of: tenant), priority: record.priority, demand: anyDemand,
        waitingSinceSeconds: now - seconds)
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

  /// Whether the tenant's quota lets a job start now.
  func admission(of record: JobRecord, by tenant: String) -> Cohorts.Admission {
    cohorts.admission(of: record.demand, by: tenant, held: held)
  }

  /// A job has been placed: its tenant's share has grown.
  mutating func placed(_ record: JobRecord, of tenant: String) {
    held[tenant] = (held[tenant] ?? .zero) + record.demand
    guard var pass else { return }
    let number = number(of: tenant)
    shares.take(record.demand, by: number, atSeconds: now)
    queue.note(shares, of: number, in: &pass)
    self.pass = pass
  }

  private mutating func number(of tenant: String) -> Int {
    if let number = numbers[tenant] { return number }
    numbers[tenant] = numbers.count
    return numbers.count - 1
  }
}

extension JobRecord {
  /// From 0 to 10. What is stored was checked when it was accepted; a row that was not waits as usual.
  var priority: Int {
    let wish = spec.priority ?? JobLimits.usualPriority
    return min(max(wish, JobLimits.priorities.lowerBound), JobLimits.priorities.upperBound)
  }

  /// What all its ranks take.
  var demand: QueueDemand { QueueDemand(spec.gang.resources, ranks: ranks) }
}
