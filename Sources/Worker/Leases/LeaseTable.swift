import IorunContract
import IorunCore

/// A node's bookkeeping: which lease holds what, under which epoch. No device is in two leases, no
/// grant of an older epoch is taken, nothing is given out twice. A pure value; the agent acts on it.
struct LeaseTable: Sendable {
  /// One lease.
  struct Entry: Hashable, Sendable {
    /// The grant, with its epoch.
    var grant: LeaseGrant
    /// Where it stands.
    var state: LeaseState

    /// What it holds: everything until its processes are gone, then its disk until it is forgotten.
    var held: ResourceSet {
      let resources = grant.spec.gang.resources
      return state.isEnded ? ResourceSet(disk: resources.disk) : resources
    }
  }

  /// What the node offers in all.
  let capacity: ResourceSet
  private(set) var entries: [LeaseID: Entry] = [:]
  /// The highest epoch seen of each job, kept beyond the job's leases.
  private var epochs: [JobID: Int64] = [:]
  private var jobsByAge: [JobID] = []
  private static let rememberedJobs = 10_000

  init(capacity: ResourceSet) { self.capacity = capacity }

  /// What is not held.
  var free: ResourceSet { entries.values.reduce(capacity) { $0 - $1.held } }

  /// Every lease in the head's words, in order; those without an executor yet are left out.
  var reports: [LeaseReport] { entries.keys.sorted().compactMap(report) }

  /// One lease in the head's words; `nil` where there is none or it has no executor yet.
  func report(_ id: LeaseID) -> LeaseReport? {
    guard let entry = entries[id], let executor = entry.state.executor else { return nil }
    return LeaseReport(
      id: id, epoch: entry.grant.epoch, executor: executor, state: entry.state.reported,
      usage: entry.state.usage)
  }

  /// The leases that a grant overrules: the same one under an older epoch, and those of the job's
  /// earlier attempts.
  func overruled(by grant: LeaseGrant) -> [LeaseID] {
    entries.values.filter { entry in
      entry.grant.id.job == grant.id.job && entry.grant.epoch < grant.epoch
        && (entry.grant.id == grant.id || entry.grant.id.attempt < grant.id.attempt)
    }
    .map(\.grant.id).sorted()
  }

  /// Refuses an epoch below the highest seen of the job, and remembers a higher one. Throws
  /// `wrongState`.
  mutating func admit(_ grant: LeaseGrant) throws {
    let job = grant.id.job
    if let highest = epochs[job], grant.epoch < highest {
      throw IorunError(
        .wrongState, "lease \(grant.id) has epoch \(grant.epoch), but \(highest) was granted since",
        remedy: "Nothing to do: a newer grant of the head is in force")
    }
    if epochs.updateValue(grant.epoch, forKey: job) == nil { jobsByAge.append(job) }
    while jobsByAge.count > Self.rememberedJobs {
      epochs[jobsByAge.removeFirst()] = nil
    }
  }

  /// Sets resources aside. Throws `wrongState` where something is not free, `specInvalid` where the
  /// grant contradicts itself.
  mutating func reserve(_ grant: LeaseGrant) throws {
    try admit(grant)
    guard entries[grant.id] == nil else {
      throw IorunError(.wrongState, "lease \(grant.id) is already held")
    }
    let wanted = grant.spec.gang.resources
    guard grant.gpuIndices.count == wanted.gpus, Set(grant.gpuIndices).count == wanted.gpus,
      grant.gpuIndices.allSatisfy((0..<capacity.gpus).contains)
    else {
      throw IorunError(
        .specInvalid,
        "lease \(grant.id) wants \(wanted.gpus) GPUs and names \(grant.gpuIndices), "
          + "but the node has \(capacity.gpus)",
        remedy: "Register the node again, so that the head knows its GPUs")
    }
    for entry in entries.values where !entry.state.isEnded {
      if let index = grant.gpuIndices.first(where: entry.grant.gpuIndices.contains) {
        throw IorunError(
          .wrongState, "GPU \(index) is held by lease \(entry.grant.id)",
          remedy: "Wait for that lease to end")
      }
    }
    guard free.covers(wanted) else {
      throw IorunError(
        .wrongState, "lease \(grant.id) needs \(wanted), but only \(free) is free on this node",
        remedy: "Wait for other leases to end")
    }
    entries[grant.id] = Entry(grant: grant, state: .reserved)
  }

  /// The lease's process has an identity.
  mutating func setExecutor(_ executor: PeerID, of id: LeaseID) throws {
    try change(id, to: .preparing(executor: executor)) {
      if case .reserved = $0 { true } else { false }
    }
  }

  /// The lease could start at once.
  mutating func setPrepared(_ prepared: LeasePrepared, of id: LeaseID) throws {
    try change(id, to: .prepared(prepared)) { if case .preparing = $0 { true } else { false } }
  }

  /// The lease is told to start. False where it was before; throws `notFound` for an unknown lease
  /// and `wrongState` for another epoch or one that is not prepared.
  mutating func begin(_ id: LeaseID, epoch: Int64) throws -> Bool {
    let entry = try entry(id)
    guard entry.grant.epoch == epoch else {
      throw IorunError(
        .wrongState, "lease \(id) has epoch \(entry.grant.epoch), not \(epoch)",
        remedy: "Prepare it again under the new epoch")
    }
    switch entry.state {
    case .reserved, .preparing:
      throw IorunError(
        .wrongState, "lease \(id) is still being prepared",
        remedy: "Start it once prepare has returned")
    case .prepared(let prepared):
      entries[id]?.state = .running(prepared)
      return true
    case .running, .ended: return false
    }
  }

  /// Nothing of the lease runs any more. The first end stays.
  mutating func end(
    _ id: LeaseID, cause: ExitCause, outputs: OutputList? = nil, lastLines: [String] = [],
    usage: RankUsage? = nil
  ) throws {
    switch try entry(id).state {
    case .prepared(let prepared), .running(let prepared):
      entries[id]?.state = .ended(
        prepared, cause: cause, outputs: outputs, lastLines: lastLines, usage: usage)
    case .reserved, .preparing:
      throw IorunError(.wrongState, "lease \(id) was never prepared")
    case .ended: break
    }
  }

  /// Puts another end in the place of one that the head will never take.
  mutating func replaceEnd(of id: LeaseID, cause: ExitCause, lastLines: [String]) {
    guard case .ended(let prepared, _, _, _, let usage) = entries[id]?.state else { return }
    entries[id]?.state = .ended(
      prepared, cause: cause, outputs: nil, lastLines: lastLines, usage: usage)
  }

  /// Frees everything that a lease holds.
  mutating func remove(_ id: LeaseID) { entries[id] = nil }

  private func entry(_ id: LeaseID) throws -> Entry {
    guard let entry = entries[id] else {
      throw IorunError(
        .notFound, "this node holds no lease \(id)", remedy: "Prepare it before it is started")
    }
    return entry
  }

  private mutating func change(
    _ id: LeaseID, to state: LeaseState, where allowed: (LeaseState) -> Bool
  ) throws {
    let present = try entry(id).state
    guard allowed(present) else {
      throw IorunError(.wrongState, "lease \(id) cannot become \(state) from \(present)")
    }
    entries[id]?.state = state
  }
}
