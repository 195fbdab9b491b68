import IorunCore
import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Single ranks go where the GPUs left over stay useful")
struct PackingScoreTests {
  private static func node(
    _ number: Int, gpus: Int, cpus: Int, model: String = "A10", used: Int = 0
  ) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: UInt64(number), low: 0), name: "node-\(number)",
      capacity: ResourceSet(
        milliCPUs: cpus * 1000, gpus: gpus, memory: .gibi(256), disk: .gibi(100)),
      gpus: (0..<gpus).map {
        NodeFacts.GPU(model: model, uuid: "\(number)-\($0)", memory: .gibi(24))
      },
      used: ResourceSet(milliCPUs: used * 1000, gpus: used, memory: .zero, disk: .zero),
      usedGPUs: Set(0..<used), isPlaceable: true)
  }

  private static func request(gpus: Int, cpus: Int, model: String? = nil) -> GangRequest {
    GangRequest(
      ranks: 1,
      resources: ResourceSet(
        milliCPUs: cpus * 1000, gpus: gpus, memory: .gibi(1), disk: .zero), gpuModel: model)
  }

  private static func placer(_ asks: [(GangRequest, Int)], models: [String] = ["A10"])
    -> GangPlacer
  {
    var history = PackingHistory()
    for (request, count) in asks {
      for _ in 0..<count {
        history.accepted(
          ranks: request.ranks, of: request.resources, gpuModel: request.gpuModel)
      }
    }
    return GangPlacer(packing: PackingScore(history, models: models))
  }

  private func chosen(_ request: GangRequest, _ offers: [NodeOffer], _ placer: GangPlacer)
    -> String?
  {
    guard case .placed(let placement) = placer.place(request, on: offers) else { return nil }
    return offers.first { $0.node == placement.members.first?.node }?.name
  }

  @Test("a small rank leaves a node whole for the large ones that are asked for, too")
  func keepsNodesWhole() {
    let (small, large) = (Self.request(gpus: 1, cpus: 4), Self.request(gpus: 8, cpus: 32))
    let offers = [
      Self.node(1, gpus: 8, cpus: 64), Self.node(2, gpus: 8, cpus: 64, used: 1),
    ]
    #expect(chosen(small, offers, GangPlacer()) == "node-1")
    let packing = Self.placer([(small, 5), (large, 5)])
    #expect(chosen(small, offers, packing) == "node-2")
    #expect(chosen(large, offers, packing) == "node-1")
  }

  @Test("cores are not taken where GPUs would be left without any")
  func keepsCores() {
    let (gpu, cpu) = (Self.request(gpus: 1, cpus: 8), Self.request(gpus: 0, cpus: 8))
    // The node with GPUs has the most free cores, and needs each of them.
    let offers = [Self.node(1, gpus: 8, cpus: 64), Self.node(2, gpus: 0, cpus: 16)]
    #expect(chosen(cpu, offers, GangPlacer()) == "node-1")
    #expect(chosen(cpu, offers, Self.placer([(gpu, 9), (cpu, 1)])) == "node-2")
  }

  @Test("where there are no GPUs, single ranks go where most is free, as ever")
  func coresOnly() {
    let cpu = Self.request(gpus: 0, cpus: 2)
    let offers = [Self.node(1, gpus: 0, cpus: 8), Self.node(2, gpus: 0, cpus: 16)]
    #expect(chosen(cpu, offers, Self.placer([(cpu, 3)], models: [])) == "node-2")
  }

  @Test("a model that is asked for is kept for those who ask for it")
  func models() {
    let (any, a100) = (
      Self.request(gpus: 1, cpus: 4), Self.request(gpus: 1, cpus: 4, model: "A100")
    )
    let offers = [
      Self.node(1, gpus: 4, cpus: 32, model: "NVIDIA A100"),
      Self.node(2, gpus: 4, cpus: 32, model: "NVIDIA T4"),
    ]
    let placer = Self.placer([(any, 1), (a100, 9)], models: ["NVIDIA A100", "NVIDIA T4"])
    #expect(chosen(any, offers, placer) == "node-2")
    #expect(chosen(a100, offers, placer) == "node-1")
  }

  @Test("more GPUs are given out than by the node with most room, on every drawn mix")
  func givesOutMore() {
    var ours = 0
    var roomiest = 0
    for seed in UInt64(1)...20 {
      var random = SeededGenerator(seed: seed)
      let mix = [1, 1, 1, 2, 4, 8].map { gpus in
        Self.request(gpus: gpus, cpus: gpus * Int.random(in: 2...10, using: &random))
      }
      let nodes = (1...12).map { number in
        Self.node(
          number, gpus: [2, 4, 8, 8].randomElement(using: &random) ?? 8,
          cpus: [48, 64, 96].randomElement(using: &random) ?? 64)
      }
      let arrivals = (0..<80).map { _ in mix.randomElement(using: &random) ?? mix[0] }
      ours += Self.fill(nodes, arrivals, Self.placer(mix.map { ($0, 1) }))
      roomiest += Self.fill(nodes, arrivals, GangPlacer())
    }
    #expect(ours > roomiest)
  }

  /// How many GPUs are given out when all have come.
  private static func fill(_ nodes: [NodeOffer], _ arrivals: [GangRequest], _ placer: GangPlacer)
    -> Int
  {
    var nodes = nodes
    var given = 0
    for request in arrivals {
      guard case .placed(let placement) = placer.place(request, on: nodes),
        let member = placement.members.first,
        let index = nodes.firstIndex(where: { $0.node == member.node })
      else { continue }
      nodes[index].used = nodes[index].used + request.resources
      nodes[index].usedGPUs.formUnion(member.gpuIndices)
      given += member.gpuIndices.count
    }
    return given
  }

  @Test("the history forgets what is long ago")
  func forgets() {
    var history = PackingHistory()
    let (old, new) = (Self.request(gpus: 8, cpus: 8), Self.request(gpus: 1, cpus: 1))
    history.accepted(ranks: 1_000_000, of: old.resources, gpuModel: nil)
    history.accepted(ranks: -5, of: old.resources, gpuModel: nil)
    for _ in 0..<3000 { history.accepted(ranks: 1, of: new.resources, gpuModel: "X") }
    #expect(history.counts.count == 1)
    #expect(history.counts.values.reduce(0, +) == 2048)
  }
}
