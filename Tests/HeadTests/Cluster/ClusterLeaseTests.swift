import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

@Suite("Leases of runtime jobs at the head")
struct ClusterLeaseTests {
  @Test("a demand that fits goes to a node with room")
  func grants() async throws {
    try await withRig(cpus: [2, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let lease = try await rig.lease(job, RuntimeDemand(resources: .cpus(4)))
      #expect(lease.node == rig.bridge(1).node)
    }
  }

  @Test("a demand that no node can take is refused with the nearest miss")
  func infeasible() async throws {
    try await withRig(cpus: [2, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      rig.time.advance(by: .seconds(2))
      await rig.services.tick()
      do {
        _ = try await rig.lease(job, RuntimeDemand(resources: .cpus(8)))
        Issue.record("it was granted")
      } catch let error as IorunError {
        #expect(error.code == .noPlacement)
        #expect(error.message.contains("2 have less than 8 CPU (most: node-2 with 4)"))
        #expect(error.message.contains("lower num_cpus to 4"))
      }
    }
  }

  @Test("a demand waits for room, asks for idle leases, and goes on when there is some")
  func waits() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let bridge = rig.bridge(0)
      let first = try await rig.lease(job, RuntimeDemand(resources: .cpus(1)))
      async let second = rig.lease(job, RuntimeDemand(resources: .cpus(1)))
      try await eventually("nobody was asked") { await bridge.calls.contains("recall") }
      #expect(await bridge.recallsForOne == job.driver, "nobody else waits")
      try await bridge.returnLease(
        first.lease, holder: job.driver, broken: false, caller: rig.head)
      try await bridge.update(rig.cluster)
      #expect(try await second.node == bridge.node)
    }
  }

  @Test("a node that refuses is passed over until it says what is free")
  func refusals() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await rig.bridge(0).set(refusal: IorunError(.overloaded, "no room"))
      let lease = try await rig.lease(job, RuntimeDemand(resources: .cpus(1)))
      #expect(lease.node == rig.bridge(1).node)
      #expect(await rig.bridge(0).calls.filter { $0 == "grant" }.count == 1)
    }
  }

  @Test("a wait that is cancelled leaves the line")
  func cancellation() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let first = try await rig.lease(job, RuntimeDemand(resources: .cpus(1)))
      let waiting = Task { try await rig.lease(job, RuntimeDemand(resources: .cpus(1))) }
      try await eventually("it does not wait") { await rig.bridge(0).calls.contains("recall") }
      waiting.cancel()
      await expect(throwsCode: .cancelled) { _ = try await waiting.value }
      _ = first
    }
  }

  @Test(
    "a request that is taken back is answered, before it comes, while it waits and while it is granted"
  )
  func takenBack() async throws {
    try await withRig(cpus: [1]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let one = RuntimeDemand(resources: .cpus(1))
      let caller = rig.nodes[0].id
      // The call that takes it back may overtake it.
      try await rig.cluster.cancelLease(7, holder: job.driver, caller: caller)
      await expect(throwsCode: .cancelled) { try await rig.lease(job, one, ticket: 7) }
      let first = try await rig.lease(job, one, ticket: 8)
      // Too late: it was answered. It changes nothing.
      try await rig.cluster.cancelLease(8, holder: job.driver, caller: caller)
      let waiting = Task { try await rig.lease(job, one, ticket: 9) }
      try await eventually { await rig.bridge(0).calls.contains("recall") }
      try await rig.cluster.cancelLease(9, holder: job.driver, caller: caller)
      await expect(throwsCode: .cancelled) { try await waiting.value }
      try await rig.bridge(0).returnLease(
        first.lease, holder: job.driver, broken: false, caller: rig.head)
      await rig.bridge(0).set(holdsGrants: true)
      let granting = Task { try await rig.lease(job, one, ticket: 10) }
      try await rig.bridge(0).update(rig.cluster)
      try await eventually { await rig.bridge(0).leases.count == 1 }
      try await rig.cluster.cancelLease(10, holder: job.driver, caller: caller)
      await rig.bridge(0).set(holdsGrants: false)
      await expect(throwsCode: .cancelled) { try await granting.value }
      try await rig.allIsFree()
      try await rig.bridge(0).update(rig.cluster)
      let node = try await rig.cluster.clusterNodes(caller: caller).first
      #expect(node?.available == node?.resources)
    }
  }

  @Test("many demands at once never take more than there is")
  func manyAtOnce() async throws {
    try await withRig(cpus: [3, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await withTaskGroup(of: Void.self) { tasks in
        for _ in 0..<200 {
          tasks.addTask {
            guard let lease = try? await rig.lease(job, RuntimeDemand(resources: .cpus(1))) else {
              Issue.record("not granted")
              return
            }
            let bridge = rig.bridges[lease.node.peer]!
            try? await bridge.returnLease(
              lease.lease, holder: job.driver, broken: false, caller: rig.head)
            try? await bridge.update(rig.cluster)
          }
        }
      }
      for index in 0..<2 { #expect(await rig.bridge(index).used.isEmpty) }
    }
  }

  @Test("a node leases for its own processes only")
  func forged() async throws {
    try await withRig(cpus: [2, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await expect(throwsCode: .notAllowed) {
        _ = try await rig.cluster.lease(
          RuntimeDemand(resources: .cpus(1)), job: job.job, holder: job.driver,
          ticket: 1, caller: rig.nodes[1].id)
      }
    }
  }
}
