import Foundation
import IorunCore
import IorunCrypto
import Testing

@testable import IorunPoW

@Suite("Catalogue of models")
struct CatalogueTests {
  private func samples(
    _ count: Int, median: Double = 1e9, kind: PuzzleKind = .product, isAttested: Bool = true,
    seed: UInt64 = 1
  ) throws -> [Calibration.Sample] {
    var generator = SeededGenerator(state: seed)
    return try (0..<count).map { _ in
      let bias = exp(0.03 * generator.normal())
      let rates = (0..<5).map { _ in median * bias * exp(0.01 * generator.normal()) }
      return Calibration.Sample(
        device: DeviceID(try SigningKey()), model: "X", kind: kind, rates: rates,
        isAttested: isAttested)
    }
  }

  private func propose(
    _ samples: [Calibration.Sample], present: ModelCatalogue.Model? = nil
  ) throws -> ModelCatalogue.Model {
    try Calibration.propose("X", from: samples, present: present, date: "2026-11-29")
  }

  @Test("every figure of the catalogue has a source, and no name is there twice")
  func sources() {
    let models = ModelCatalogue.builtIn.models
    #expect(Set(models.map { $0.name.lowercased() }).count == models.count)
    for model in models {
      #expect(model.rates.allSatisfy { !$0.source.isEmpty && $0.median > 0 && $0.devices > 0 })
      let hasFigures = model.memoryBytes != nil || model.peakMultiplicationsPerSecond != nil
      #expect(!hasFigures || model.source != nil)
    }
    #expect(ModelCatalogue.builtIn["nvidia h200"]?.compute == "9.0")
    #expect(ModelCatalogue.builtIn["H300"] == nil)
  }

  @Test("faked strings: a name never makes the expectation lower, and a known one makes it its own")
  func expectation() throws {
    let devices = try propose(samples(20, median: 2e6, kind: .lane))
    let catalogue = ModelCatalogue(models: [devices])
    func expected(_ name: String, claimed: Double, cores: Int = 4) -> ModelCatalogue.Expectation {
      catalogue.expectation(of: name, .lane, cores: cores, claimed: claimed)
    }
    let median = try #require(devices.rate(.lane)).median
    let known = expected("x", claimed: 1e6)
    #expect(known.rate == 4 * median && known.source?.contains("20 attested") == true)
    #expect(expected("X", claimed: 1e9).rate == 1e9 && expected("X", claimed: 1e9).source == nil)
    #expect(expected("another", claimed: 1e6) == ModelCatalogue.Expectation(rate: 1e6))
    let hash = catalogue.expectation(of: "X", .hash, cores: 4, claimed: 5)
    #expect(hash == ModelCatalogue.Expectation(rate: 5))
    // What this version knows is from one device each: it is shown, and counts for nothing.
    for model in ModelCatalogue.builtIn.models {
      for kind in PuzzleKind.allCases {
        let claim = ModelCatalogue.builtIn.expectation(of: model.name, kind, cores: 1, claimed: 1)
        #expect(claim.source == nil)
      }
    }
  }

  @Test("a catalogue from a file has a source for each figure, and no rate that is none")
  func checked() throws {
    try ModelCatalogue.builtIn.check()
    func rate(_ median: Double, devices: Int = 1, source: String = "here") -> ModelCatalogue.Rate {
      ModelCatalogue.Rate(
        kind: .lane, median: median, spread: nil, devices: devices, source: source)
    }
    let good = ModelCatalogue.Model(name: "X", isCore: true, rates: [rate(1)])
    try ModelCatalogue(models: [good]).check()
    let rates = [
      rate(0), rate(-1), rate(.nan), rate(.infinity), rate(1, devices: 0), rate(1, source: ""),
    ]
    var bad = rates.map { [ModelCatalogue.Model(name: "X", isCore: true, rates: [$0])] }
    bad.append([good, ModelCatalogue.Model(name: "x", isCore: true)])
    bad.append([ModelCatalogue.Model(name: "G", isCore: false, memoryBytes: 5)])
    for models in bad {
      let error = #expect(throws: IorunError.self) { try ModelCatalogue(models: models).check() }
      #expect(error?.code == .malformed)
    }
  }

  @Test("twenty attested devices make a rate: their median, and the spread between them")
  func proposed() throws {
    let model = try propose(samples(400))
    let rate = try #require(model.rate(.product))
    #expect(abs(log(rate.median / 1e9)) < 0.01)
    #expect((0.02...0.04).contains(try #require(rate.spread)))
    #expect(rate.devices == 400 && rate.source.contains("400 attested"))
    #expect(!model.isCore)
    #expect(try propose(samples(20, kind: .lane)).isCore)
  }

  @Test("too few devices, such as are only claimed, and one device's many samples make none")
  func tooFew() throws {
    for few in [
      try samples(19), try samples(200, isAttested: false),
      Array(repeating: try samples(1)[0], count: 100), [],
    ] {
      #expect(throws: IorunError.self) { try propose(few) }
    }
  }

  @Test("rates that are none are left out, and odd devices shift nothing")
  func oddDevices() throws {
    var all = try samples(40)
    for index in 0..<8 { all[index].rates = [1e6, 1e6] }
    for index in 8..<12 { all[index].rates = [.nan, -1, 0, .infinity] }
    let rate = try #require(try propose(all).rate(.product))
    #expect(rate.devices == 36)
    #expect(abs(log(rate.median / 1e9)) < 0.03)
  }

  @Test("a rate that was measured before moves by a tenth only, others stay")
  func slowly() throws {
    var present = try propose(samples(50))
    present.rates.append(
      ModelCatalogue.Rate(kind: .gpuMemory, median: 5, spread: nil, devices: 30, source: "before"))
    let before = try #require(present.rate(.product))
    let after = try propose(samples(50, median: 0.5e9, seed: 2), present: present)
    let moved = try #require(after.rate(.product)).median / before.median
    #expect(abs(log(moved) - 0.1 * log(0.5)) < 0.01)
    #expect(after.rate(.gpuMemory)?.source == "before")
  }

  @Test("devices faster than the maker says are another model")
  func abovePeak() throws {
    let model = ModelCatalogue.Model(
      name: "X", isCore: false, peakMultiplicationsPerSecond: 0.9e9, source: "its maker")
    #expect(throws: IorunError.self) { try propose(samples(30), present: model) }
  }

  @Test("a catalogue survives JSON, and a model takes the place of the one of its name")
  func roundTrip() throws {
    var catalogue = ModelCatalogue.builtIn
    let count = catalogue.models.count
    catalogue.insert(ModelCatalogue.Model(name: "NVIDIA H200", isCore: false))
    #expect(catalogue.models.count == count && catalogue["NVIDIA H200"]?.memoryBytes == nil)
    let data = try ProofDocument.encode(catalogue)
    #expect(try ProofDocument.decode(ModelCatalogue.self, from: data) == catalogue)
  }
}
