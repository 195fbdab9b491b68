internal import Foundation
internal import IorunCore

/// Proposes a model's entry in the catalogue from devices that were measured, and of which it is
/// known what they are: by an attestation of the hardware, or because they are the operator's own.
public enum Calibration {
  /// What was measured of one device.
  public struct Sample: Hashable, Codable, Sendable {
    /// The device.
    public var device: DeviceID
    /// What it is.
    public var model: String
    /// Of which work.
    public var kind: PuzzleKind
    /// Rates of accepted rounds in the kind's unit; of cores, of one core.
    public var rates: [Double]
    /// True where it is known what the device is, and not only claimed.
    public var isAttested: Bool

    private enum CodingKeys: String, CodingKey {
      case device, model, kind, rates
      case isAttested = "is_attested"
    }

    /// Describes a sample.
    public init(
      device: DeviceID, model: String, kind: PuzzleKind, rates: [Double], isAttested: Bool
    ) {
      (self.device, self.model, self.kind) = (device, model, kind)
      (self.rates, self.isAttested) = (rates, isAttested)
    }
  }

  /// Devices that a rate needs: with fewer a single owner could shift the median.
  public static let minimumDevices = 20
  /// How much of a new median goes into a rate that was there: slowly, so that nobody who hands in
  /// slow devices can talk the expectation down in a week.
  public static let weight = 0.1

  /// The entry that the samples speak for. A kind with too few devices is left as it is in
  /// `present`.
  ///
  /// - Parameters:
  ///   - name: the model.
  ///   - samples: what was measured; those of other models, of devices that are not attested and
  ///     rates that are none are left out.
  ///   - present: the entry that is there, if there is one.
  ///   - date: for the source that the figures get.
  /// - Throws: `malformed` where no kind has enough devices, or a median is above the peak that the
  ///   maker gives.
  public static func propose(
    _ name: String, from samples: [Sample], present: ModelCatalogue.Model?, date: String
  ) throws -> ModelCatalogue.Model {
    var model =
      present
      ?? ModelCatalogue.Model(
        name: name,
        isCore: samples.contains {
          $0.model == name && $0.kind != .product && $0.kind != .gpuMemory
        })
    var counts: [String] = []
    var isChanged = false
    for kind in PuzzleKind.allCases {
      // A device counts once, however many rounds it has.
      let of = samples.filter { $0.model == name && $0.kind == kind && $0.isAttested }
      let medians = Dictionary(grouping: of, by: \.device).values.compactMap { samples in
        median(samples.flatMap(\.rates).filter { $0.isFinite && $0 > 0 })
      }
      guard medians.count >= minimumDevices, let middle = median(medians) else {
        if !medians.isEmpty { counts.append("\(kind.rawValue): \(medians.count)") }
        continue
      }
      let rate = try rate(kind, medians, middle, model, date)
      model.rates.removeAll { $0.kind == kind }
      model.rates.append(rate)
      isChanged = true
    }
    guard isChanged else {
      throw IorunError(
        .malformed,
        "no kind of work has \(minimumDevices) attested devices of '\(name.prefix(80))'"
          + (counts.isEmpty ? "" : " (\(counts.joined(separator: ", ")))"),
        remedy: "Measure more devices of which you know what they are")
    }
    return model
  }

  private static func rate(
    _ kind: PuzzleKind, _ medians: [Double], _ middle: Double, _ model: ModelCatalogue.Model,
    _ date: String
  ) throws -> ModelCatalogue.Rate {
    if kind == .product, let peak = model.peakMultiplicationsPerSecond, middle > peak {
      throw IorunError(
        .malformed,
        "the devices multiply \(middle / peak) times as fast as the maker says that "
          + "'\(model.name)' can",
        remedy: "See whether they are of another model")
    }
    // The deviation from the median's own, by the median: one odd device in five changes nothing.
    // 1.4826 makes it the deviation of a normal distribution (Hampel, JASA 69, 1974).
    let spread = 1.4826 * (median(medians.map { abs(log($0 / middle)) }) ?? 0)
    let before = model.rate(kind)
    let isFirst = (before?.devices ?? 0) < minimumDevices
    let moved = before.map { exp((1 - weight) * log($0.median) + weight * log(middle)) } ?? middle
    return ModelCatalogue.Rate(
      kind: kind, median: isFirst ? middle : moved, spread: spread, devices: medians.count,
      source: "measured on \(medians.count) attested devices, \(date)")
  }

  private static func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let half = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
  }
}
