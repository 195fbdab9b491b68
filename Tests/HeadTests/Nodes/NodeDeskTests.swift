import Foundation
import IorunContract
import IorunCore
import Testing

@testable import IorunHead

@Suite("Nodes")
struct NodeDeskTests {
  @Test("a name that another node has gets a number, and keeps it")
  func names() async throws {
    try await withRig(cpus: [1, 1]) { (rig) async throws in
      let desk = rig.services.nodes
      let second = FakeNode(id: rig.nodes[1].id, facts: .sample("node-1"))
      #expect(try await second.register(with: desk).name == "node-1-2")
      #expect(try await second.register(with: desk).name == "node-1-2")
      #expect(try await rig.nodes[0].register(with: desk).name == "node-1")
      let odd = FakeNode(id: rig.nodes[1].id, facts: .sample("lab 7/ü"))
      #expect(try await odd.register(with: desk).name == "lab-7--")
    }
  }

  @Test("silence makes a node suspect, unreachable, then dead; only a dead one must register again")
  func liveness() async throws {
    try await withRig(cpus: [1]) { (rig) async throws in
      func state() async throws -> NodeState {
        try await rig.services.network.nodes(caller: rig.buyer)[0].state
      }
      func pass(_ seconds: Int) async {
        for _ in 0..<seconds {
          for _ in 0..<4 {
            rig.time.advance(by: .milliseconds(250))
            await rig.services.tick()
          }
        }
      }
      await pass(2)
      #expect(try await state() == .suspect)
      #expect(try await rig.nodes[0].heartbeat()?.registerAgain == false)
      #expect(try await state() == .alive)
      await pass(10)
      #expect(try await state() == .unreachable)
      #expect(try await rig.nodes[0].heartbeat()?.registerAgain == false)
      #expect(try await state() == .alive)
      await pass(20)
      #expect(try await state() == .dead)
      #expect(try await rig.nodes[0].heartbeat()?.registerAgain == true)
      #expect(try await state() == .dead)
      try await rig.nodes[0].register(with: rig.services.nodes)
      #expect(try await state() == .alive)
    }
  }

  @Test("a lease that nobody knows is stopped, and its room is not given out before it is gone")
  func draining() async throws {
    try await withRig(cpus: [1]) { (rig) async throws in
      let ghost = LeaseID(job: JobID("job-00000000")!, attempt: 1, rank: 0)
      let report = LeaseReport(id: ghost, epoch: 1, executor: .sample(5), state: .running)
      let orders = try await rig.services.nodes.register(
        NodeRegistration(facts: rig.nodes[0].facts, leases: [report]), caller: rig.nodes[0].id)
      #expect(orders.stop == [ghost])
      let plan = try await rig.services.placement.plan(.sample(ranks: 1), caller: rig.buyer)
      #expect(plan.places.isEmpty)
      let again = try await rig.services.nodes.heartbeat(
        leases: [ghost], roundTripMilliseconds: nil, caller: rig.nodes[0].id)
      #expect(again.stop == [ghost])
      _ = try await rig.services.nodes.heartbeat(
        leases: [], roundTripMilliseconds: nil, caller: rig.nodes[0].id)
      let free = try await rig.services.placement.plan(.sample(ranks: 1), caller: rig.buyer)
      #expect(free.places.map(\.nodeName) == ["node-1"])
    }
  }

  @Test("the network's status counts what is leased, and routes name the gang's processes")
  func statusAndRoutes() async throws {
    try await withRig(cpus: [4]) { (rig) async throws in
      let job = try await rig.wait(for: rig.submit(.sample(ranks: 2, cpus: 1)).id, .running)
      let status = try await rig.services.network.status(caller: rig.buyer)
      #expect(status.capacity.milliCPUs == 4000 && status.free.milliCPUs == 2000)
      #expect(status.jobs == ["running": 1] && status.nodes == ["alive": 1])
      let routes = await rig.services.executorRoutes()
      #expect(routes.map(\.lease) == [rig.lease(job, 0), rig.lease(job, 1)])
      for rank in 0..<2 { try await rig.end(job, rank, .exited(status: 0)) }
      try await rig.wait(for: job.id, .succeeded)
      try await eventually { await rig.services.executorRoutes().isEmpty }
    }
  }

  @Test("a buyer offers no node, and facts that no machine has are refused")
  func refusals() async throws {
    try await withRig(cpus: [1]) { (rig) async throws in
      let registration = NodeRegistration(facts: .sample("x"), leases: [])
      await expect(throwsCode: .notAllowed) {
        try await rig.services.nodes.register(registration, caller: rig.buyer)
      }
      var facts = NodeFacts.sample("x")
      facts.milliCPUs = -1
      await expect(throwsCode: .malformed) {
        try await rig.services.nodes.register(
          NodeRegistration(facts: facts, leases: []), caller: rig.nodes[0].id)
      }
    }
  }

  @Test("content comes back as it was put, for admitted peers only")
  func content() async throws {
    try await withRig(cpus: [1]) { (rig) async throws in
      let content = rig.services.content
      let digest = try await content.put(Data("hello".utf8), caller: rig.buyer)
      #expect(try await content.missing(of: [digest], caller: rig.nodes[0].id) == [])
      #expect(try await content.get(digest, caller: rig.nodes[0].id) == Data("hello".utf8))
      await expect(throwsCode: .keyNotAdmitted) {
        try await content.get(digest, caller: .sample(77))
      }
    }
  }
}
