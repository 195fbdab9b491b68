import IorunContract
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Lease tables")
struct LeaseTableTests {
  private var table = LeaseTable(capacity: Sample.facts(gpus: 2).capacity)
  private let prepared = LeasePrepared(executor: PeerID(high: 0, low: 9), rendezvousPort: 4000)

  private mutating func prepare(_ grant: LeaseGrant) throws {
    try table.reserve(grant)
    try table.setExecutor(prepared.executor, of: grant.id)
    try table.setPrepared(prepared, of: grant.id)
  }

  private func code(_ body: () throws -> Void) -> IorunError.Code? {
    do {
      try body()
      return nil
    } catch {
      return (error as? IorunError)?.code
    }
  }

  @Test("what is reserved is not free, and is again once removed")
  mutating func reserve() throws {
    let wanted = ResourceSet(milliCPUs: 3000, gpus: 1, memory: .gibi(1), disk: .gibi(2))
    let grant = Sample.grant(resources: wanted, gpuIndices: [1])
    try table.reserve(grant)
    #expect(table.free == table.capacity - wanted)
    table.remove(grant.id)
    #expect(table.free == table.capacity)
  }

  @Test("a lease that does not fit is refused and changes nothing")
  mutating func tooMuch() throws {
    try table.reserve(Sample.grant(rank: 0, resources: ResourceSet(milliCPUs: 3000)))
    let before = table.free
    #expect(
      code { try table.reserve(Sample.grant(rank: 1, resources: ResourceSet(milliCPUs: 1001))) }
        == .wrongState)
    #expect(table.free == before && table.entries.count == 1)
  }

  @Test("a GPU is never in two leases")
  mutating func exclusive() throws {
    let one = ResourceSet(gpus: 1)
    try table.reserve(Sample.grant(rank: 0, resources: one, gpuIndices: [0]))
    #expect(
      code { try table.reserve(Sample.grant(rank: 1, resources: one, gpuIndices: [0])) }
        == .wrongState)
    try table.reserve(Sample.grant(rank: 2, resources: one, gpuIndices: [1]))
  }

  @Test(
    "a grant that names GPUs twice, too few or unknown ones is refused",
    arguments: [[0, 0], [0], [0, 2]])
  mutating func contradictory(indices: [Int]) {
    let grant = Sample.grant(resources: ResourceSet(gpus: 2), gpuIndices: indices)
    #expect(code { try table.reserve(grant) } == .specInvalid)
  }

  @Test("an epoch below the highest seen of the job is refused, also when its lease is gone")
  mutating func epochs() throws {
    try table.reserve(Sample.grant(epoch: 5))
    table.remove(Sample.lease())
    #expect(code { try table.reserve(Sample.grant(epoch: 4)) } == .wrongState)
    try table.reserve(Sample.grant(epoch: 5))
  }

  @Test("a newer epoch overrules the same lease and earlier attempts, not other ranks")
  mutating func overruled() throws {
    try table.reserve(Sample.grant(rank: 0, attempt: 1, epoch: 1))
    try table.reserve(Sample.grant(rank: 0, attempt: 2, epoch: 2))
    try table.reserve(Sample.grant(rank: 1, attempt: 2, epoch: 2))
    let newer = Sample.grant(rank: 0, attempt: 2, epoch: 3)
    #expect(
      table.overruled(by: newer) == [
        Sample.lease(attempt: 1, rank: 0), Sample.lease(attempt: 2, rank: 0),
      ])
    #expect(table.overruled(by: Sample.grant(rank: 1, attempt: 2, epoch: 2)).count == 1)
  }

  @Test("a lease starts once, and only under its own epoch and when prepared")
  mutating func begin() throws {
    let grant = Sample.grant(epoch: 2)
    #expect(code { _ = try table.begin(grant.id, epoch: 2) } == .notFound)
    try table.reserve(grant)
    #expect(code { _ = try table.begin(grant.id, epoch: 2) } == .wrongState)
    try table.setExecutor(prepared.executor, of: grant.id)
    try table.setPrepared(prepared, of: grant.id)
    #expect(code { _ = try table.begin(grant.id, epoch: 1) } == .wrongState)
    #expect(try table.begin(grant.id, epoch: 2))
    #expect(try !table.begin(grant.id, epoch: 2))
  }

  @Test("a lease that ended holds only its disk until it is removed, and its first cause stays")
  mutating func end() throws {
    let wanted = ResourceSet(milliCPUs: 1000, gpus: 1, memory: .gibi(1), disk: .gibi(2))
    let grant = Sample.grant(resources: wanted, gpuIndices: [0])
    try prepare(grant)
    try table.end(grant.id, cause: .exited(status: 1))
    try table.end(grant.id, cause: .cancelled)
    #expect(table.free == table.capacity - ResourceSet(disk: .gibi(2)))
    #expect(
      table.report(grant.id)?.state == .ended(.exited(status: 1), outputs: nil, lastLines: []))
  }

  @Test("a lease without an executor is in no report")
  mutating func reports() throws {
    try table.reserve(Sample.grant(rank: 0))
    #expect(table.reports.isEmpty)
    try prepare(Sample.grant(rank: 1))
    #expect(table.reports.map(\.id) == [Sample.lease(rank: 1)])
  }
}
