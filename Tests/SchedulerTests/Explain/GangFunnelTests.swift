import IorunCore
import Testing

@testable import IorunScheduler

@Suite("The funnel of a gang's GPUs")
struct GangFunnelTests {
  private static func node(
    _ number: Int, gpus: Int, memory: Bytes = .gibi(512), used: Int = 0, model: String = "H100"
  ) -> NodeOffer {
    NodeOffer(
      node: PeerID(high: 7, low: UInt64(number)), name: "node-\(number)",
      capacity: ResourceSet(milliCPUs: 64_000, gpus: gpus, memory: memory),
      gpus: (0..<gpus).map { .init(model: model, uuid: "\(number)-\($0)", memory: .gibi(80)) },
      used: ResourceSet(gpus: used), usedGPUs: Set(0..<used), isPlaceable: true)
  }

  @Test("each GPU is counted once, with its step: memory, proof, use, distance")
  func steps() {
    let offers = [
      Self.node(0, gpus: 8, memory: .gibi(16)), Self.node(1, gpus: 8), Self.node(2, gpus: 8),
      Self.node(3, gpus: 8), Self.node(4, gpus: 7, used: 2), Self.node(5, gpus: 1),
      Self.node(6, gpus: 4, model: "L4"), Self.node(7, gpus: 0),
    ]
    // 2 and 4 are one site, 3 is 50 ms away.
    let sites = NodeSites(
      siteOf: [offers[2].node: 0, offers[4].node: 0, offers[3].node: 1],
      matrix: LatencyMatrix(count: 2, milliseconds: [0, 50, 50, 0]))
    let request = GangRequest(
      ranks: 8, resources: ResourceSet(milliCPUs: 1000, gpus: 2, memory: .gibi(64)),
      gpuModel: "h100", placement: .site(maxRoundTripMilliseconds: 20),
      barred: [offers[1].node: "not verified"])
    guard case .refused(let refusal) = GangPlacer(sites: sites).place(request, on: offers) else {
      Issue.record("it was placed")
      return
    }
    #expect(
      refusal.explanation.hasPrefix(
        "44 GPUs seen: 8 not verified, 4 not like 'h100', "
          + "1 in nodes with fewer than 2 GPUs like 'h100' (most: node-5 with 1), "
          + "8 in nodes with less than 64 GiB memory (most: node-0 with 16 GiB), "
          + "1 left over beside whole ranks, 2 busy with other jobs, 8 over maxRTT 20 ms, "
          + "12 left, 16 needed; at most 6 of the 8 ranks within 20 ms"), "\(refusal.explanation)")
  }

  @Test("a network without GPUs says so")
  func none() {
    let request = GangRequest(ranks: 2, resources: ResourceSet(gpus: 4))
    guard case .refused(let refusal) = GangPlacer().place(request, on: [Self.node(0, gpus: 0)])
    else {
      Issue.record("it was placed")
      return
    }
    #expect(refusal.explanation.hasPrefix("no GPUs seen on 1 node, 8 needed"))
  }

  @Test("the class of hardware is told by the model's name")
  func classes() {
    for (model, expected) in [
      ("", HardwareClass.cpu), ("NVIDIA GeForce RTX 4090", .consumer), ("NVIDIA H100", .dataCentre),
      ("NVIDIA RTX A6000", .workstation), ("Quadro RTX 8000", .workstation),
      ("Tesla T4", .dataCentre),
      ("AMD Radeon RX 7900 XTX", .consumer), ("NVIDIA A100-SXM4-80GB", .dataCentre),
      ("NVIDIA RTX 6000 Ada Generation", .workstation), ("AMD Instinct MI300X", .dataCentre),
    ] {
      #expect(HardwareClass(model: model) == expected, "\(model)")
    }
  }
}
