import IorunContract
import IorunCore
import IorunPoW
import Testing

@testable import IorunHead

/// What the head knows of models, and what it expects of their devices.
@Suite("Proofs against the catalogue")
struct CatalogueProofTests {
  /// A catalogue whose one model is what all nodes here say that they are. `rate`: of one core, as a
  /// part of what the nodes' provers do.
  private func options(rate: Double, devices: Int) -> HeadOptions {
    var options = HeadOptions.proofs(.record)
    let name = NodeFacts.sample("any", cpus: 1).cpuModel
    options.proofs.catalogue = ModelCatalogue(models: [
      ModelCatalogue.Model(
        name: name.uppercased(), isCore: true,
        rates: [PuzzleKind.lane, .hash].map {
          ModelCatalogue.Rate(
            kind: $0, median: rate * FakeProver.rateOfCore, spread: 0.03, devices: devices,
            source: "measured on \(devices) attested devices")
        })
    ])
    return options
  }

  @Test("faked strings: who says to be a known model is measured against it, not against its claim")
  func faked() async throws {
    try await withRig(cpus: [2], options: options(rate: 2, devices: 20)) { rig in
      try await rig.drive("it did not fail") { try await rig.mark().status == .failed }
      #expect(try await rig.reasons() == ["rerun:slow", "slow"])
      let lanes = try await rig.history().verdicts.filter { $0.verdict.kind == .lane }
      #expect(!lanes.isEmpty)
      for record in lanes {
        #expect(record.expectedRate == 4 * FakeProver.rateOfCore)
        #expect(record.expectedBy?.contains("measured on 20 attested devices") == true)
        #expect(record.ratio < 0.6)
      }
    }
  }

  @Test(
    "a model that does no more than the claim, or has too few devices, leaves the claim as it is",
    arguments: [(0.9, 400), (2.0, 19)])
  func claim(rate: Double, devices: Int) async throws {
    try await withRig(cpus: [1], options: options(rate: rate, devices: devices)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let records = try await rig.history().verdicts
      #expect(records.allSatisfy { $0.expectedBy == nil })
      let lanes = records.filter { $0.verdict.kind == .lane }
      #expect(!lanes.isEmpty && lanes.allSatisfy { $0.expectedRate == FakeProver.rateOfCore })
    }
  }

  @Test("under-claim: a device that does what its model does is verified against that")
  func verified() async throws {
    try await withRig(cpus: [1], options: options(rate: 1.005, devices: 20)) { rig in
      try await rig.drive("it was not verified") { try await rig.mark().status == .verified }
      let records = try await rig.history().verdicts
      for kind in [PuzzleKind.lane, .hash] {
        #expect(records.contains { $0.verdict.kind == kind && $0.expectedBy != nil })
      }
      // Memory is measured against what is out of reach without it; its labels are as slow as the
      // model's cores want.
      #expect(records.contains { $0.verdict.kind == .memory && $0.expectedBy == nil })
    }
  }
}
