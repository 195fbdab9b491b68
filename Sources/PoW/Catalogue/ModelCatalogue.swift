internal import IorunCore

/// What models of processors and GPUs are expected to do. A figure is either measured by this code,
/// or left out: a model without a rate of a kind cannot be verified by that kind and stays pending.
/// Every figure says where it is from.
public struct ModelCatalogue: Hashable, Codable, Sendable {
  /// A rate that was measured.
  public struct Rate: Hashable, Codable, Sendable {
    /// Of which work.
    public var kind: PuzzleKind
    /// The median over devices, in the kind's unit (``PuzzleKind/unit``).
    public var median: Double
    /// The deviation of ln(rate) between devices; `nil` where one device was measured.
    public var spread: Double?
    /// How many devices it is from.
    public var devices: Int
    /// Where the figure is from.
    public var source: String

    /// Describes a rate.
    public init(kind: PuzzleKind, median: Double, spread: Double?, devices: Int, source: String) {
      (self.kind, self.median, self.spread) = (kind, median, spread)
      (self.devices, self.source) = (devices, source)
    }
  }

  /// One model.
  public struct Model: Hashable, Codable, Sendable {
    /// Its name, as drivers and shops write it.
    public var name: String
    /// True for rates of one core, false for rates of a whole GPU.
    public var isCore: Bool
    /// What it does.
    public var rates: [Rate]
    /// Bytes of a GPU's memory, by its maker.
    public var memoryBytes: UInt64?
    /// A GPU's compute capability, by its maker.
    public var compute: String?
    /// Multiplications of bytes a second that the maker gives as the most, without sparsity: no
    /// device can be above it.
    public var peakMultiplicationsPerSecond: Double?
    /// Where memory, capability and peak are from.
    public var source: String?

    private enum CodingKeys: String, CodingKey {
      case name, rates, compute, source
      case isCore = "is_core"
      case memoryBytes = "memory_bytes"
      case peakMultiplicationsPerSecond = "peak_multiplications_per_second"
    }

    /// Describes a model.
    public init(
      name: String, isCore: Bool, rates: [Rate] = [], memoryBytes: UInt64? = nil,
      compute: String? = nil, peakMultiplicationsPerSecond: Double? = nil, source: String? = nil
    ) {
      (self.name, self.isCore, self.rates) = (name, isCore, rates)
      (self.memoryBytes, self.compute, self.source) = (memoryBytes, compute, source)
      self.peakMultiplicationsPerSecond = peakMultiplicationsPerSecond
    }

    /// The rate of a kind; `nil` where nobody measured it.
    public func rate(_ kind: PuzzleKind) -> Rate? { rates.first { $0.kind == kind } }
  }

  /// All models, by name.
  public var models: [Model]

  /// Makes a catalogue of models.
  public init(models: [Model]) { self.models = models.sorted { $0.name < $1.name } }

  /// A model by its name, in any case; `nil` for one that is not there.
  public subscript(name: String) -> Model? {
    models.first { $0.name.lowercased() == name.lowercased() }
  }

  /// Throws `malformed` where a rate is none, a figure has no source, or two models have one name.
  public func check() throws {
    func refuse(_ name: String, _ why: String) -> IorunError {
      IorunError(
        .malformed, "the catalogue's '\(name.prefix(80))' \(why)",
        remedy: "Compare it with what `iorun pow catalogue --json` prints")
    }
    var names: Set<String> = []
    for model in models {
      guard names.insert(model.name.lowercased()).inserted else {
        throw refuse(model.name, "is there twice")
      }
      for rate in model.rates {
        guard rate.median.isFinite, rate.median > 0, rate.devices > 0,
          rate.spread.map({ $0.isFinite && $0 >= 0 }) ?? true
        else { throw refuse(model.name, "has a rate of \(rate.kind.rawValue) that is none") }
        guard !rate.source.isEmpty else {
          throw refuse(model.name, "does not say where its rate of \(rate.kind.rawValue) is from")
        }
      }
      let hasFigures = model.memoryBytes != nil || model.peakMultiplicationsPerSecond != nil
      guard !hasFigures || !(model.source ?? "").isEmpty else {
        throw refuse(model.name, "does not say where its memory or its peak is from")
      }
    }
  }

  /// Puts a model in, or in the place of the one of its name.
  public mutating func insert(_ model: Model) {
    self = ModelCatalogue(models: models.filter { $0.name != model.name } + [model])
  }
}

extension ModelCatalogue {
  /// What a device is measured against, and who says so.
  public struct Expectation: Hashable, Sendable {
    /// In the kind's unit.
    public var rate: Double
    /// The model and the source of its figure; `nil` where it is the device's own claim.
    public var source: String?

    /// Describes an expectation.
    public init(rate: Double, source: String? = nil) { (self.rate, self.source) = (rate, source) }
  }

  /// What the cores of a device must do. A model's rate counts once it is from
  /// ``Calibration/minimumDevices`` devices, and only where it is above what the device claims: a
  /// device may be more than its model, and is then verified for no more than it shows, but it cannot
  /// be one of a known model and claim less. A name alone makes no device faster: who says another
  /// one's is measured against that.
  ///
  /// - Parameters:
  ///   - model: the processor's name, as the device says it.
  ///   - kind: the kind of work.
  ///   - cores: how many of its cores work.
  ///   - claimed: what these do by the device's own word.
  public func expectation(
    of model: String, _ kind: PuzzleKind, cores: Int, claimed: Double
  ) -> Expectation {
    expectation(of: model, isCore: true, kind, count: cores, claimed: claimed)
  }

  /// The same of a GPU.
  public func expectation(ofGPU model: String, _ kind: PuzzleKind, claimed: Double) -> Expectation {
    expectation(of: model, isCore: false, kind, count: 1, claimed: claimed)
  }

  private func expectation(
    of model: String, isCore: Bool, _ kind: PuzzleKind, count: Int, claimed: Double
  ) -> Expectation {
    guard let entry = self[model], entry.isCore == isCore, let rate = entry.rate(kind),
      rate.devices >= Calibration.minimumDevices, rate.median.isFinite,
      rate.median * Double(count) > claimed
    else { return Expectation(rate: claimed) }
    return Expectation(
      rate: rate.median * Double(count), source: "\(entry.name): \(rate.source)")
  }

  /// What this version comes with. GPUs have their makers' figures only: no GPU has run these kernels
  /// yet, so none can be verified by rate until `iorun pow calibrate` has measurements.
  public static let builtIn = ModelCatalogue(models: [
    Model(
      name: "AMD EPYC Zen 3, 3.2 GHz", isCore: true,
      rates: [
        Rate(
          kind: .hash, median: 57.95e6, spread: nil, devices: 1,
          source: "measured, one core, SHA-NI 3-way, nonce first: trial of the C kernel"),
        Rate(
          kind: .lane, median: 55e6, spread: nil, devices: 1,
          source: "measured, one core, 3 lanes at 54 ns a step: trial of the C kernel"),
        Rate(
          kind: .product, median: 61e9, spread: nil, devices: 1,
          source: "measured, one core, AVX2, n = 4096: trial of the C kernel"),
      ]),
    Model(
      name: "Intel Xeon model 207, AVX-512", isCore: true,
      rates: [
        Rate(
          kind: .hash, median: 44.3e6, spread: nil, devices: 1,
          source: "docs/BENCHMARKS.md, 2026-11-28, one thread under load"),
        Rate(
          kind: .lane, median: 22.0e6, spread: nil, devices: 1,
          source: "docs/BENCHMARKS.md, 2026-11-28, one thread under load"),
        Rate(
          kind: .product, median: 217e9, spread: nil, devices: 1,
          source: "docs/BENCHMARKS.md, 2026-11-28, AVX-512 VNNI, n = 2048"),
      ]),
    gpu("NVIDIA H200", gigabytes: 141, "9.0", tops: 1979, "NVIDIA H200 data sheet (SXM)"),
    gpu("NVIDIA H100 80GB HBM3", gigabytes: 80, "9.0", tops: 1979, "NVIDIA H100 data sheet (SXM)"),
  ])

  /// A GPU by its maker's figures: `tops` are 10^12 operations a second on bytes, two a
  /// multiplication, without sparsity. The memory is what the maker writes, in 10^9 bytes; drivers
  /// show some per cent more or less.
  private static func gpu(
    _ name: String, gigabytes: UInt64, _ compute: String, tops: Double, _ source: String
  ) -> Model {
    Model(
      name: name, isCore: false, memoryBytes: gigabytes * 1_000_000_000, compute: compute,
      peakMultiplicationsPerSecond: tops * 1e12 / 2, source: source)
  }
}
