import IorunCore
import IorunScheduler
import Testing

@Suite struct GangPlacerTests {
  private let placer = GangPlacer()

  private static func node(
    _ number: UInt64, cpus: Int = 4, memory: Bytes = .gibi(16), gpus: [String] = [],
    usedCPUs: Int = 0, usedGPUs: Set<Int> = [], alive: Bool = true
  ) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: 0, low: number), name: "node-\(number)",
      capacity: ResourceSet(
        milliCPUs: cpus * 1000, gpus: gpus.count, memory: memory, disk: .gibi(100)),
      gpus: gpus.enumerated().map {
        NodeFacts.GPU(model: $1, uuid: "GPU-\(number)-\($0)", memory: .gibi(24))
      },
      used: ResourceSet(milliCPUs: usedCPUs * 1000, gpus: usedGPUs.count), usedGPUs: usedGPUs,
      isPlaceable: alive)
  }

  private static func request(
    _ ranks: Int, cpus: Int = 1, memory: Bytes = .zero, gpus: Int = 0, model: String? = nil,
    excluding: Set<PeerID> = []
  ) -> GangRequest {
    GangRequest(
      ranks: ranks, resources: ResourceSet(milliCPUs: cpus * 1000, gpus: gpus, memory: memory),
      gpuModel: model, excluding: excluding)
  }

  /// The low half of each rank's node id.
  private func nodes(_ request: GangRequest, _ offers: [NodeOffer]) -> [UInt64]? {
    guard case .placed(let placement) = placer.place(request, on: offers) else { return nil }
    return placement.members.map(\.node.low)
  }

  private func refusal(_ request: GangRequest, _ offers: [NodeOffer]) throws -> PlacementRefusal {
    guard case .refused(let refusal) = placer.place(request, on: offers) else {
      throw IorunError(.internalFault, "the gang was placed")
    }
    return refusal
  }

  @Test func `three ranks go to three nodes`() {
    let offers = [Self.node(1), Self.node(2), Self.node(3)]
    #expect(nodes(Self.request(3), offers) == [1, 2, 3])
  }

  @Test func `ranks share nodes only when nodes run out, and neighbours share`() {
    let offers = [Self.node(1), Self.node(2)]
    #expect(nodes(Self.request(3), offers) == [1, 1, 2])
  }

  @Test func `the node with the most free of the scarcest resource comes first`() {
    let offers = [
      Self.node(1, cpus: 64, memory: .gibi(8)), Self.node(2, cpus: 2, memory: .gibi(32)),
    ]
    #expect(nodes(Self.request(1, memory: .gibi(8)), offers) == [2])
    #expect(nodes(Self.request(1, cpus: 2), offers) == [1])
  }

  @Test func `ranks get different GPUs of the wanted model, whatever its case`() throws {
    let offers = [
      Self.node(1, gpus: ["RTX 4090", "NVIDIA H100", "NVIDIA H100", "NVIDIA H100"], usedGPUs: [2])
    ]
    guard
      case .placed(let placement) = placer.place(
        Self.request(2, gpus: 1, model: "h100"), on: offers)
    else { throw IorunError(.internalFault, "not placed") }
    #expect(placement.members.map(\.gpuIndices) == [[1], [3]])
  }

  @Test func `an excluded node is not used even where nothing else is there`() throws {
    let one = Self.node(1)
    let refused = try refusal(Self.request(1, excluding: [one.node]), [one])
    #expect(!refused.fitsWhenIdle)
    #expect(refused.explanation.contains("1 node seen: 1 excluded for this job;"))
  }

  @Test func `a refusal counts the nodes and names the nearest miss`() throws {
    let offers = [
      Self.node(1, alive: false), Self.node(2, memory: .gibi(24)), Self.node(3, memory: .gibi(8)),
    ]
    let refused = try refusal(Self.request(1, memory: .gibi(64)), offers)
    #expect(
      refused.explanation
        == "3 nodes seen: 1 not alive, 2 have less than 64 GiB memory (most: node-2 with 24 GiB); "
        + "lower memory to 24 GiB")
    #expect(!refused.fitsWhenIdle)
  }

  @Test func `a busy network says that waiting helps, and what would start now`() throws {
    let offers = [Self.node(1, usedCPUs: 4), Self.node(2, usedCPUs: 2)]
    let refused = try refusal(Self.request(4, cpus: 2), offers)
    #expect(
      refused.explanation
        == "2 nodes seen: 1 busy with other jobs, 1 has room for 1 of the 4 ranks; "
        + "it fits once running jobs end; to start now, lower cpus to 0.5")
    #expect(refused.fitsWhenIdle)
  }

  @Test func `a gang too large for all nodes together is told how many ranks fit`() throws {
    let offers = [Self.node(1, cpus: 2), Self.node(2, cpus: 1)]
    let refused = try refusal(Self.request(4), offers)
    #expect(
      refused.explanation
        == "2 nodes seen: 2 have room for 3 of the 4 ranks; lower ranks to 3")
  }

  @Test func `a GPU model that nobody has is answered with those that are there`() throws {
    let offers = [Self.node(1, gpus: ["RTX 4090"]), Self.node(2)]
    let refused = try refusal(Self.request(1, gpus: 1, model: "H100"), offers)
    #expect(
      refused.explanation
        == "1 GPU seen: 1 not like 'H100', 0 left, 1 needed; "
        + "leave out gpu_model or set it to 'RTX 4090'")
  }

  @Test func `no nodes at all is a refusal that says what to do`() throws {
    let refused = try refusal(Self.request(1), [])
    #expect(refused.explanation == "no nodes seen; add nodes, or larger ones, with `iorun join`")
    #expect(!refused.fitsWhenIdle)
  }

  @Test(
    "wrong numbers are refused with the reason",
    arguments: [
      (request(0), "at least 1 rank"), (request(-3), "at least 1 rank"),
      (request(.max), "at most 100000 ranks"),
      (GangRequest(ranks: 1, resources: ResourceSet(milliCPUs: .min)), "cpus must not be negative"),
      (GangRequest(ranks: 1, resources: ResourceSet(gpus: -1)), "gpus must not be negative"),
    ])
  func wrongNumbers(request: GangRequest, reason: String) throws {
    let refused = try refusal(request, [Self.node(1)])
    #expect(refused.explanation.contains(reason))
    #expect(!refused.fitsWhenIdle)
  }

  @Test func `the largest numbers there are do not overflow`() throws {
    let all = ResourceSet(
      milliCPUs: .max, gpus: .max, memory: Bytes(.max), disk: Bytes(.max))
    var huge = Self.node(1)
    huge.capacity = all
    huge.used = ResourceSet(milliCPUs: .min, gpus: .min)
    var full = Self.node(2)
    full.used = all
    #expect(try !refusal(GangRequest(ranks: 100_000, resources: all), [huge, full]).fitsWhenIdle)
    #expect(nodes(Self.request(2), [huge, full]) == [1, 1])
  }

  @Test func `a node that is listed twice is not given twice`() throws {
    let refused = try refusal(Self.request(8), [Self.node(1), Self.node(1)])
    #expect(refused.explanation.contains("node-1 stands in the list of nodes twice"))
  }

  @Test func `GPUs that are counted as used but not named are not given`() throws {
    var offer = Self.node(1, gpus: ["H100", "H100"])
    offer.used.gpus = 1
    #expect(nodes(Self.request(1, gpus: 1), [offer]) == [1])
    #expect(try refusal(Self.request(2, gpus: 1), [offer]).fitsWhenIdle)
  }

  @Test func `a refusal over ten thousand nodes takes less than a few seconds`() throws {
    let offers = (0..<10_000).map { Self.node($0, memory: .gibi(16), usedCPUs: 3) }
    let clock = ContinuousClock()
    let time = try clock.measure {
      _ = try refusal(Self.request(60_000, memory: .gibi(2)), offers)
    }
    #expect(time < .seconds(10))
  }
}
