import Foundation
import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

/// What tests of runtime jobs say often.
extension Rig {
  var cluster: any ClusterService { services.cluster }

  func bridge(_ index: Int) -> FakeBridge { bridges[nodes[index].id]! }

  func registerBridges() async throws {
    for node in nodes { try await bridges[node.id]!.register(with: cluster) }
  }

  /// Opens a job with a driver on the first node.
  func openJob() async throws -> RuntimeJob { try await bridge(0).openJob(with: cluster) }

  func lease(
    _ job: RuntimeJob, _ demand: RuntimeDemand, ticket: UInt64 = .random(in: 1 ... .max)
  ) async throws -> RuntimeLease {
    try await cluster.lease(
      demand, job: job.job, holder: job.driver, ticket: ticket, caller: job.driver.node.peer)
  }

  func create(_ spec: RuntimeActorSpec, getIfExists: Bool = false) async throws
    -> RuntimeActorRecord
  {
    try await cluster.createActor(
      spec, getIfExists: getIfExists, caller: spec.creator.node.peer)
  }

  func status(_ actor: RuntimeActorID) async throws -> RuntimeActorStatus {
    try await cluster.actor(actor, caller: nodes[0].id).status
  }

  /// Waits until no node holds anything.
  func allIsFree() async throws {
    try await eventually("something is still held") {
      for bridge in bridges.values where await !bridge.used.isEmpty { return false }
      return true
    }
  }

  /// Moves time on, so that silent nodes are lost; the others go on to send heartbeats.
  func lose(_ index: Int) async throws {
    for _ in 0..<12 {
      time.advance(by: .seconds(1))
      for (other, node) in nodes.enumerated() where other != index {
        _ = try await node.heartbeat()
      }
      await services.tick()
    }
  }
}

extension ResourceAmounts {
  static func cpus(_ count: Double) -> ResourceAmounts {
    try! ResourceAmounts(amounts: ["CPU": count])
  }
}

extension RuntimeActorSpec {
  static func sample(
    _ number: UInt64, _ job: RuntimeJob, name: String = "", cpus: Double = 1, restarts: Int = 0,
    detached: Bool = false, strategy: RuntimeDemand.Strategy = .standard
  ) -> RuntimeActorSpec {
    RuntimeActorSpec(
      actor: RuntimeActorID(high: 7, low: number), job: job.job, name: name, namespace: "",
      className: "Counter", detached: detached,
      demand: RuntimeDemand(resources: .cpus(cpus), strategy: strategy), maxRestarts: restarts,
      creator: job.driver, methods: "", payload: Data([1, 2, 3]))
  }
}

extension PlacementGroupSpec {
  static func sample(
    _ number: UInt64, _ job: RuntimeJob, _ bundles: [ResourceAmounts],
    _ strategy: PlacementGroupSpec.Strategy = .pack, name: String = "", namespace: String? = nil
  ) -> PlacementGroupSpec {
    PlacementGroupSpec(
      group: GroupID(high: 9, low: number), job: job.job, name: name, namespace: namespace,
      bundles: bundles, strategy: strategy, maxRoundTripMilliseconds: nil, labels: [],
      detached: false)
  }
}
