import IorunCore
import Testing

@testable import IorunWorker

@Suite("What a node offers to runtime jobs")
struct RuntimeOfferTests {
  private func machine(_ models: String...) -> NodeFacts {
    var facts = Sample.facts()
    facts.gpus = models.enumerated().map { number, model in
      .init(model: model, uuid: "GPU-\(number)", memory: .gibi(80))
    }
    return facts
  }

  @Test("GPUs are asked for by Ray's short name, as resource and as label")
  func acceleratorType() throws {
    let facts = machine("NVIDIA H100 80GB HBM3", "NVIDIA H100 80GB HBM3")
    let total = try RuntimeOffer().total(facts, objectStore: 1 << 30)
    #expect(total[ResourceAmounts.gpu] == 2)
    #expect(total["accelerator_type:H100"] == 1)
    let labels = RuntimeOffer().labels(NodeID(Sample.head), facts)
    #expect(labels["ray.io/accelerator-type"] == "H100")
    #expect(labels["iorun.io/accelerator-type"] == "NVIDIA H100 80GB HBM3")
  }

  @Test("A node that offers none of its GPUs, or has none, names no type")
  func noAccelerator() throws {
    for (offer, facts) in [
      (RuntimeOffer(gpus: 0), machine("NVIDIA H200")), (RuntimeOffer(gpus: 2), machine()),
    ] {
      let total = try offer.total(facts, objectStore: 1 << 30)
      #expect(!total.amounts.keys.contains { $0.hasPrefix("accelerator_type:") })
      #expect(offer.labels(NodeID(Sample.head), facts)["ray.io/accelerator-type"] == nil)
    }
  }

  @Test("An amount of a type that an operator says is the one that holds")
  func givenType() throws {
    let offer = RuntimeOffer(resources: ["accelerator_type:H200": 4])
    let total = try offer.total(machine("NVIDIA H200"), objectStore: 1 << 30)
    #expect(total["accelerator_type:H200"] == 4)
  }
}
