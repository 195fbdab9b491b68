import IorunCore
import IorunScheduler
import TestSupport
import Testing

@Suite("Placement of tasks and actors")
struct LeasePlacementTests {
  private func place(_ request: LeasePlacement.Request, _ nodes: [RuntimeNode])
    -> LeasePlacement.Decision
  {
    LeasePlacement().place(request, on: nodes)
  }

  @Test("the asking node is first while it is less than half used, then the least used one")
  func hybrid() {
    var here = RuntimeNode.sample(1, cpus: 4)
    let there = RuntimeNode.sample(2, cpus: 4)
    let request = LeasePlacement.Request(resources: .cpus(1), origin: here.node)
    here.available = .cpus(3)
    #expect(place(request, [there, here]) == .place(here.node))
    here.available = .cpus(2)
    #expect(place(request, [there, here]) == .place(there.node))
  }

  @Test("what needs no GPU leaves nodes with GPUs alone while there are others")
  func keepsGPUs() throws {
    var gpu = RuntimeNode.sample(1, cpus: 4)
    gpu.total = try ResourceAmounts(amounts: ["CPU": 4, "GPU": 1])
    gpu.available = gpu.total
    let plain = RuntimeNode.sample(2, cpus: 4)
    #expect(place(.init(resources: .cpus(1)), [gpu, plain]) == .place(plain.node))
    #expect(
      place(.init(resources: try ResourceAmounts(amounts: ["GPU": 0.5])), [gpu, plain])
        == .place(gpu.node))
  }

  @Test("SPREAD goes around")
  func spread() {
    let nodes = (1...3).map { RuntimeNode.sample($0, cpus: 4) }
    var last: NodeID?
    var order: [NodeID] = []
    for _ in 0..<6 {
      guard
        case .place(let node) = place(
          .init(resources: .cpus(1), strategy: .spread(last: last)), nodes)
      else { return }
      order.append(node)
      last = node
    }
    #expect(order == nodes.map(\.node) + nodes.map(\.node))
  }

  @Test("a hard affinity waits for its node, a soft one takes another when that one never can")
  func affinity() {
    var wished = RuntimeNode.sample(1, cpus: 2)
    wished.available = .cpus(0)
    let other = RuntimeNode.sample(2, cpus: 4)
    func asking(_ cpus: Double, soft: Bool) -> LeasePlacement.Decision {
      place(
        .init(resources: .cpus(cpus), strategy: .node(wished.node, soft: soft)), [wished, other])
    }
    #expect(asking(1, soft: false) == .wait)
    #expect(asking(1, soft: true) == .wait)
    #expect(asking(4, soft: true) == .place(other.node))
    guard case .infeasible(let reason) = asking(4, soft: false) else {
      Issue.record("it was not refused")
      return
    }
    #expect(reason.contains("lower num_cpus to 2"))
  }

  @Test("a busy node is not waited for where that is asked")
  func failsWhenBusy() {
    var wished = RuntimeNode.sample(1, cpus: 2)
    let request = LeasePlacement.Request(
      resources: .cpus(1), strategy: .node(wished.node, soft: false, failsWhenBusy: true))
    #expect(place(request, [wished]) == .place(wished.node))
    wished.available = .cpus(0)
    guard case .infeasible(let reason) = place(request, [wished]) else {
      Issue.record("it was not refused")
      return
    }
    #expect(reason.contains("1 without room now"))
  }

  @Test("fallback selectors are tried in order")
  func fallback() throws {
    var here = RuntimeNode.sample(1, cpus: 4)
    here.labels = ["region": "eu"]
    var there = RuntimeNode.sample(2, cpus: 4)
    there.labels = ["region": "us"]
    let selectors = try [["region": "asia"], ["region": "us"]].map(LabelSelector.init)
    #expect(
      place(.init(resources: .cpus(1), selectors: selectors), [here, there]) == .place(there.node))
    let only = try [LabelSelector(["region": "asia"])]
    guard case .infeasible(let reason) = place(.init(resources: .cpus(1), selectors: only), [here])
    else {
      Issue.record("it was not refused")
      return
    }
    #expect(reason.contains("1 without the label region=asia"))
  }

  @Test("the refusal counts nodes, names the nearest miss and what to change")
  func nearestMiss() throws {
    var dead = RuntimeNode.sample(3, cpus: 64)
    dead.isPlaceable = false
    let nodes = [RuntimeNode.sample(1, cpus: 4), .sample(2, cpus: 2), dead]
    guard case .infeasible(let reason) = place(.init(resources: .cpus(8)), nodes) else {
      Issue.record("it was not refused")
      return
    }
    #expect(
      reason
        == "3 nodes seen: 1 not alive, 2 have less than 8 CPU (most: node-1 with 4); "
        + "lower num_cpus to 4")
  }

  @Test("whatever the cluster, a place has room, and a refusal is true", arguments: 0..<200)
  func property(_ seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let nodes = RuntimeNode.random(using: &random)
    let request = LeasePlacement.Request(
      resources: .random(using: &random), origin: nodes.randomElement(using: &random)?.node)
    let able = nodes.filter { $0.isPlaceable && $0.total.covers(request.resources) }
    let free = able.filter { $0.available.covers(request.resources) }
    switch place(request, nodes) {
    case .place(let node): #expect(free.contains { $0.node == node })
    case .wait: #expect(free.isEmpty && !able.isEmpty)
    case .infeasible: #expect(able.isEmpty)
    }
    #expect(place(request, nodes) == place(request, nodes.shuffled(using: &random)))
  }
}
