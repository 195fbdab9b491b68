import Foundation
import IorunContract
import IorunCore
import Logging
import Synchronization
import TestSupport
import Testing

@testable import IorunHead

/// A head on a folder of its own with fake nodes and a clock that the test moves.
final class Rig: Sendable {
  let folder: String
  let time = ManualClock()
  let head = PeerID.sample(9999)
  let nodes: [FakeNode]
  let bridges: [PeerID: FakeBridge]
  let provers: [PeerID: FakeProver]
  let options: HeadOptions
  private let opened: Mutex<HeadServices?> = Mutex(nil)
  let operatorID: PeerID
  let buyer: PeerID
  let otherBuyer: PeerID

  var services: HeadServices {
    guard let services = opened.withLock({ $0 }) else { preconditionFailure("not open") }
    return services
  }
  var jobs: any JobService { services.jobs }
  /// Seconds since 1970 (UTC) when the test begins.
  static let start = 278.0 * 3600 + 1
  var clock: HeadClock {
    // An hour has just begun: no epoch of proofs ends in the middle of what a test does.
    HeadClock(time) { [self] in Self.start + time.now.offset.inSeconds + setBy.withLock(\.self) }
  }
  private let setBy = Mutex(0.0)

  /// Somebody sets the head's wall clock, so many seconds ahead.
  func setClock(aheadBy seconds: Double) { setBy.withLock { $0 += seconds } }

  /// `cpus`: a node for each entry, with so many cores. `planes`: what each node can do for gangs'
  /// networks; nothing where the list is shorter.
  init(
    cpus: [Int] = [4, 4, 4], planes: [NodeFacts.DataPlane] = [], gpus: [[NodeFacts.GPU]] = [],
    options: HeadOptions = HeadOptions()
  ) async throws {
    folder = NSTemporaryDirectory() + "iorun-head-\(UUID().uuidString)"
    self.options = options
    operatorID = try PeerDirectory.id(of: sampleKey(1))
    buyer = try PeerDirectory.id(of: sampleKey(2))
    otherBuyer = try PeerDirectory.id(of: sampleKey(3))
    nodes = try cpus.enumerated().map { index, count in
      let key = sampleKey(UInt8(100 + index))
      var facts = NodeFacts.sample("node-\(index + 1)", cpus: count)
      facts.dataPlane = planes.indices.contains(index) ? planes[index] : nil
      facts.gpus = gpus.indices.contains(index) ? gpus[index] : []
      return FakeNode(id: try PeerDirectory.id(of: key), facts: facts)
    }
    bridges = Dictionary(
      uniqueKeysWithValues: nodes.map { ($0.id, FakeBridge(id: $0.id, facts: $0.facts)) })
    provers = Dictionary(
      uniqueKeysWithValues: try nodes.map { [time] node in
        (node.id, try FakeProver(node: node.id, cores: node.facts.milliCPUs / 1000, time: time))
      })
    for (node, gpus) in zip(nodes, gpus) { try await provers[node.id]?.set(gpus: gpus) }
    try await open()
    for index in cpus.indices {
      _ = try await services.admit(
        publicKey: sampleKey(UInt8(100 + index)), name: "n", role: .supplier)
    }
    for (name, number, role) in [
      ("operator", UInt8(1), Role.operator), ("buyer", 2, .buyer), ("other", 3, .buyer),
    ] {
      _ = try await services.admit(publicKey: sampleKey(number), name: name, role: role)
    }
    try await registerAll()
  }

  /// Opens the head on the folder: the first time, or again after `kill`.
  func open() async throws {
    let nodes = Dictionary(uniqueKeysWithValues: nodes.map { ($0.id, $0) })
    let tickets = Atomic<UInt8>(200)
    let services = try await HeadServices.open(
      stateFolder: folder, head: head, clock: clock, options: options,
      makeTicket: {
        let number = tickets.add(1, ordering: .relaxed).newValue
        return NewTicket(publicKey: sampleKey(number), text: "ticket \(number)")
      },
      agent: { peer in
        guard let node = nodes[peer] else { throw IorunError(.unreachable, "no such node") }
        return node
      },
      bridge: { [bridges] peer in
        guard let bridge = bridges[peer] else { throw IorunError(.unreachable, "no such node") }
        return bridge
      },
      prover: { [provers] peer in
        guard let prover = provers[peer] else { throw IorunError(.unreachable, "no such node") }
        return prover
      },
      logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    opened.withLock { $0 = services }
    for prover in provers.values { await prover.set(verifier: services.proofs) }
  }

  /// What `kill -9` leaves: the folder. (Calls under way end; nothing more is written.)
  func kill() async { await services.shutDown() }

  func registerAll() async throws {
    for node in nodes { try await node.register(with: services.nodes) }
  }

  func close() async {
    for node in nodes { await node.set(holdsPreparation: false) }
    for prover in provers.values { await prover.stop() }
    await services.shutDown()
    try? FileManager.default.removeItem(atPath: folder)
  }

  @discardableResult
  func submit(_ spec: JobSpec, id: String = UUID().uuidString, by caller: PeerID? = nil)
    async throws -> JobStatus
  {
    try await jobs.submit(
      SubmitRequest(submissionID: id, spec: spec, workingFolder: nil), caller: caller ?? buyer)
  }

  func status(_ job: JobID) async throws -> JobStatus {
    try await jobs.watch(job, after: 0, waitMilliseconds: 0, caller: operatorID)
  }

  /// Waits until the job is in `state`, moving the clock so that repeats go on. Nodes that are not
  /// cut off send their heartbeats meanwhile, as their agents would: nobody falls silent by this.
  @discardableResult
  func wait(for job: JobID, _ state: JobState, attempt: Int? = nil, advancing: Duration? = nil)
    async throws -> JobStatus
  {
    var last: JobStatus?
    do {
      try await eventually("the job did not become \(state)") {
        if let advancing {
          time.advance(by: advancing)
          for node in nodes {
            if await !node.isUnreachable { try await node.heartbeat() }
          }
          await services.tick()
        }
        last = try await status(job)
        return last?.state == state && (attempt == nil || last?.attempt == attempt)
      }
    } catch {
      print("last seen: \(String(describing: last))")
      throw error
    }
    return try #require(last)
  }

  func lease(_ job: JobStatus, _ rank: Int) -> LeaseID {
    LeaseID(job: job.id, attempt: job.attempt, rank: rank)
  }

  func node(of job: JobStatus, _ rank: Int) -> FakeNode {
    nodes.first { $0.id == job.ranks[rank].node } ?? nodes[0]
  }

  /// Waits until the rank runs on its node.
  func runs(_ job: JobStatus, _ rank: Int) async throws {
    let lease = lease(job, rank)
    let node = node(of: job, rank)
    try await eventually("rank \(rank) was not started") { await node.running.contains(lease) }
  }

  func end(
    _ job: JobStatus, _ rank: Int, _ cause: ExitCause, outputs: OutputList? = nil,
    lastLines: [String] = [], usage: RankUsage? = nil
  ) async throws {
    try await runs(job, rank)
    try await node(of: job, rank).end(
      lease(job, rank), cause, outputs: outputs, lastLines: lastLines, usage: usage)
  }
}

/// Runs a test with a head and closes it whatever happens.
func withRig<Value>(
  cpus: [Int] = [4, 4, 4], planes: [NodeFacts.DataPlane] = [], gpus: [[NodeFacts.GPU]] = [],
  options: HeadOptions = HeadOptions(), _ body: (Rig) async throws -> Value
) async throws -> Value {
  let rig = try await Rig(cpus: cpus, planes: planes, gpus: gpus, options: options)
  let value: Value
  do {
    value = try await body(rig)
  } catch {
    await rig.close()
    throw error
  }
  await rig.close()
  return value
}
