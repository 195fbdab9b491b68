import Foundation
import IorunContract
import IorunCore
import IorunMesh
import IorunWire
import Testing

@testable import IorunWorker

/// What a node refuses to whoever is not its head, another node, or its own rank. The head's side is
/// in `RightsTests`.
@Suite("Rights at a node", .serialized)
struct NodeRightsTests {
  typealias Call = @Sendable (any BridgeService, PeerID) async throws -> Void

  private static let job = Sample.job
  private static let process = ProcessAddress(
    node: NodeID(Sample.head), worker: WorkerID(high: 1, low: 1))

  /// Calls of `NodeBridge`: orders of the head, and what nodes bring each other.
  private static let calls: [String: Call] = [
    "returnLease": { try await $0.returnLease(1, holder: process, broken: false, caller: $1) },
    "stopActor": {
      try await $0.stopActor(
        RuntimeActorID(high: 7, low: 1), reason: ProcessLoss(.processLost, "x"), inOrder: false,
        caller: $1)
    },
    "commitBundles": {
      try await $0.commitBundles(GroupID(high: 1, low: 1), epoch: 1, caller: $1)
    },
    "releaseBundles": { try await $0.releaseBundles(GroupID(high: 1, low: 1), caller: $1) },
    "endJob": { try await $0.endJob(job, reason: "x", caller: $1) },
    "nodeLost": { try await $0.nodeLost(NodeID(Sample.head), reason: "x", caller: $1) },
    "deliver": { try await $0.deliver(job, Data(), caller: $1) },
    "echo": { try await $0.echo(caller: $1) },
    "processLost": {
      try await $0.processLost(job, process, ProcessLoss(.processLost, "x"), caller: $1)
    },
    "program": { _ = try await $0.program(job, caller: $1) },
    "workingFolder": { _ = try await $0.workingFolder(job, environment: "x", caller: $1) },
    "free": { try await $0.free(job, objects: [], caller: $1) },
    "list": { _ = try await $0.list("workers", job: nil, limit: 1, caller: $1) },
  ]

  private func code(_ body: () async throws -> Void) async -> IorunError.Code? {
    do {
      try await body()
      return nil
    } catch { return (error as? IorunError)?.code }
  }

  @Test("a rank or a stranger gives a node's runtime side no orders and reaches no job of it")
  func bridge() async throws {
    let stage = try await HubStage()
    let bridge = try #require(stage.cluster.state.withLock { $0.bridge })
    let stranger = PeerID(high: 66, low: 66)
    for (name, call) in Self.calls {
      #expect(await code { try await call(bridge, stranger) } == .notAllowed, "\(name)")
    }
    await stage.stop()
  }

  @Test("only the head gives an agent orders, or asks it to look at other hosts")
  func agent() async throws {
    let stage = try Stage()
    let other = PeerID(high: 66, low: 66)
    let executors = ExecutorDirectory(agent: try CurveKey())
    let desk = AgentDesk(agent: stage.agent, head: Sample.head, executors: executors)
    let grant = Sample.grant()
    #expect(await code { _ = try await desk.prepare(grant, caller: other) } == .notAllowed)
    #expect(
      await code {
        try await desk.start(grant.id, epoch: 1, gang: Sample.gang, caller: other)
      } == .notAllowed)
    #expect(
      await code { try await desk.stop(grant.id, cause: .cancelled, caller: other) } == .notAllowed)
    #expect(await code { try await desk.forget(grant.id, caller: other) } == .notAllowed)
    #expect(
      await code {
        _ = try await desk.reaches("127.0.0.1", milliseconds: 9, caller: other)
      } == .notAllowed)
    #expect(await code { _ = try await executors.gang(caller: other) } == .notAllowed)
  }

  @Test(
    "a host answers with a refusal, too; an address of nobody, a loopback one and a name do not")
  func hosts() {
    #expect(!HostProbe.answers("127.0.0.1", within: .milliseconds(200)))
    #expect(!HostProbe.answers("localhost", within: .milliseconds(200)))
    // TEST-NET-1 (RFC 5737): nobody has it.
    #expect(!HostProbe.answers("192.0.2.77", within: .milliseconds(200)))
    guard let own = try? LocalAddress.toward(host: "192.0.2.77", port: 9),
      own.address != "127.0.0.1"
    else { return }
    #expect(HostProbe.answers(own.address, within: .seconds(1)))
  }
}
