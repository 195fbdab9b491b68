import IorunContract
import IorunCore
import IorunWire
import Testing

@testable import IorunHead

@Suite("Placement groups at the head")
struct ClusterGroupTests {
  @Test("a group on one node takes one call, a group on two is prepared and then committed")
  func phases() async throws {
    try await withRig(cpus: [2, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let one = try await rig.cluster.createGroup(
        .sample(1, job, [.cpus(1)]), caller: rig.nodes[0].id)
      #expect(one.state == .created)
      let calls = await [rig.bridge(0).calls, rig.bridge(1).calls]
      #expect(calls.flatMap { $0 } == ["prepare and commit"])
      try await rig.cluster.removeGroup(one.group, caller: rig.nodes[0].id)
      try await rig.allIsFree()
      for index in 0..<2 { try await rig.bridge(index).update(rig.cluster) }
      let two = try await rig.cluster.createGroup(
        .sample(2, job, [.cpus(2), .cpus(2)], .strictSpread), caller: rig.nodes[0].id)
      #expect(two.state == .created)
      #expect(Set(two.bundles.map(\.node)).count == 2)
      try await eventually {
        for index in 0..<2 where await !rig.bridge(index).committed.contains(two.group) {
          return false
        }
        return true
      }
    }
  }

  @Test("one node that refuses undoes the reservation on all, and the group waits")
  func rollback() async throws {
    try await withRig(cpus: [2, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await rig.bridge(1).set(refusal: IorunError(.overloaded, "no room"))
      let group = PlacementGroupSpec.sample(1, job, [.cpus(2), .cpus(2)], .spread)
      let status = try await rig.cluster.createGroup(group, caller: rig.nodes[0].id)
      #expect(status.state == .pending)
      try await eventually { await rig.bridge(0).used.isEmpty }
      await rig.bridge(1).set(refusal: nil)
      for index in 0..<2 { try await rig.bridge(index).update(rig.cluster) }
      let created = try await rig.cluster.waitGroup(
        group.group, milliseconds: -1, caller: rig.nodes[0].id)
      #expect(created.state == .created)
    }
  }

  @Test("a group that never fits says why, and is created when a node for it comes")
  func infeasible() async throws {
    try await withRig(cpus: [2, 8]) { rig in
      try await rig.bridge(0).register(with: rig.cluster)
      let job = try await rig.openJob()
      let group = PlacementGroupSpec.sample(1, job, [.cpus(4)])
      let status = try await rig.cluster.createGroup(group, caller: rig.nodes[0].id)
      #expect(status.state == .infeasible)
      #expect(status.reason?.contains("bundle 0 (4 CPU) fits on no node") == true)
      #expect(status.reason?.contains("lower num_cpus to 2") == true)
      try await rig.bridge(1).register(with: rig.cluster)
      let created = try await rig.cluster.waitGroup(
        group.group, milliseconds: -1, caller: rig.nodes[0].id)
      #expect(created.state == .created)
    }
  }

  @Test("bundles of a lost node move to another one")
  func reschedules() async throws {
    try await withRig(cpus: [2, 2, 2]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let group = PlacementGroupSpec.sample(1, job, [.cpus(1), .cpus(1)], .strictSpread)
      let first = try await rig.cluster.createGroup(group, caller: rig.nodes[0].id)
      let lost = try #require(first.bundles.compactMap(\.node).first { $0 != rig.bridge(0).node })
      let index = try #require(rig.nodes.firstIndex { $0.id == lost.peer })
      try await rig.lose(index)
      try await eventually {
        let now = try await rig.cluster.groups(group.group, name: nil, caller: rig.nodes[0].id)
        return now.first?.state == .created
      }
      let now = try await rig.cluster.groups(group.group, name: nil, caller: rig.nodes[0].id)
      #expect(!now[0].bundles.map(\.node).contains(lost))
      #expect(Set(now[0].bundles.map(\.node)).count == 2)
    }
  }

  @Test("a demand in a bundle goes where the bundle is, and one that never fits it is refused")
  func bundles() async throws {
    try await withRig(cpus: [1, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let group = PlacementGroupSpec.sample(1, job, [.cpus(3)])
      rig.time.advance(by: .seconds(2))
      await rig.services.tick()
      _ = try await rig.cluster.createGroup(group, caller: rig.nodes[0].id)
      let inside = RuntimeDemand.Bundle(group: group.group, index: 0)
      let lease = try await rig.lease(job, RuntimeDemand(resources: .cpus(2), bundle: inside))
      #expect(lease.node == rig.bridge(1).node)
      await expect(throwsCode: .noPlacement) {
        try await rig.lease(job, RuntimeDemand(resources: .cpus(4), bundle: inside))
      }
      try await rig.cluster.removeGroup(group.group, caller: rig.nodes[0].id)
      await expect(throwsCode: .notFound) {
        try await rig.lease(job, RuntimeDemand(resources: .cpus(1), bundle: inside))
      }
    }
  }

  @Test("many groups at once are all created and leave nothing behind")
  func manyAtOnce() async throws {
    try await withRig(cpus: [4, 4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      await withTaskGroup(of: Void.self) { tasks in
        for number in 0..<60 {
          tasks.addTask {
            do {
              let caller = rig.nodes[0].id
              let group = PlacementGroupSpec.sample(
                UInt64(number), job, [.cpus(1), .cpus(2)], number % 2 == 0 ? .pack : .spread)
              _ = try await rig.cluster.createGroup(group, caller: caller)
              while try await rig.cluster.waitGroup(
                group.group, milliseconds: 100, caller: caller
              ).state != .created {
                for index in 0..<2 { try await rig.bridge(index).update(rig.cluster) }
                rig.time.advance(by: .milliseconds(200))
              }
              try await rig.cluster.removeGroup(group.group, caller: caller)
            } catch {
              Issue.record(error)
            }
          }
        }
        // What agents do by themselves.
        tasks.addTask {
          for _ in 0..<2000 {
            for index in 0..<2 { try? await rig.bridge(index).update(rig.cluster) }
            rig.time.advance(by: .milliseconds(1))
            try? await Task.sleep(for: .milliseconds(1))
            let left = try? await rig.cluster.groups(nil, name: nil, caller: rig.nodes[0].id)
            if left?.isEmpty == true { return }
          }
        }
      }
      try await rig.allIsFree()
    }
  }

  @Test("names are unique, wrong groups are refused")
  func refusals() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let caller = rig.nodes[0].id
      _ = try await rig.cluster.createGroup(
        .sample(1, job, [.cpus(1)], name: "g"), caller: caller)
      await expect(throwsCode: .wrongState) {
        try await rig.cluster.createGroup(.sample(2, job, [.cpus(1)], name: "g"), caller: caller)
      }
      for bundles in [[], [ResourceAmounts()]] {
        await expect(throwsCode: .specInvalid) {
          try await rig.cluster.createGroup(.sample(3, job, bundles), caller: caller)
        }
      }
      await expect(throwsCode: .specInvalid) {
        try await rig.cluster.createGroup(.sample(4, job, [.cpus(1)], .site), caller: caller)
      }
      await expect(throwsCode: .notFound) {
        try await rig.cluster.groups(
          nil, name: PlacementGroupName(name: "h", namespace: "space"), caller: caller)
      }
    }
  }

  @Test("a name is taken within its namespace alone, which is the job's where none is said")
  func namespaces() async throws {
    try await withRig(cpus: [4]) { rig in
      try await rig.registerBridges()
      let job = try await rig.openJob()
      let caller = rig.nodes[0].id
      _ = try await rig.cluster.createGroup(
        .sample(1, job, [.cpus(1)], name: "g"), caller: caller)
      _ = try await rig.cluster.createGroup(
        .sample(2, job, [.cpus(1)], name: "g", namespace: "other"), caller: caller)
      await expect(throwsCode: .wrongState) {
        try await rig.cluster.createGroup(
          .sample(3, job, [.cpus(1)], name: "g", namespace: job.namespace), caller: caller)
      }
      func found(_ namespace: String) async throws -> [GroupID] {
        try await rig.cluster.groups(
          nil, name: PlacementGroupName(name: "g", namespace: namespace), caller: caller
        ).map(\.group)
      }
      #expect(try await found(job.namespace) == [GroupID(high: 9, low: 1)])
      #expect(try await found("other") == [GroupID(high: 9, low: 2)])
      await expect(throwsCode: .notFound) { try await found("third") }
      // One that is removed frees its own name, and no other's.
      try await rig.cluster.removeGroup(GroupID(high: 9, low: 2), caller: caller)
      await expect(throwsCode: .notFound) { try await found("other") }
      #expect(try await found(job.namespace) == [GroupID(high: 9, low: 1)])
    }
  }
}
