internal import IorunCore

/// What became of all devices on their way through a demand's requirements. Each is counted once, at
/// the first requirement that it does not meet: the counts add up to what was seen.
public struct FilterFunnel: Sendable, Hashable {
  /// Devices that end at one requirement.
  public struct Step: Sendable, Hashable {
    /// The requirement.
    public var requirement: Requirement
    /// Accelerators, or machines where the bundle asks for none.
    public var count: Int
    /// What it is called for people, such as `too little memory`.
    public var words: String
  }

  /// What is counted: `GPU` or `machine`.
  public var noun: String
  /// All that there are.
  public var seen: Int
  /// Where they ended, in the order of the requirements; none is 0.
  public var steps: [Step]
  /// Those that meet everything and have room.
  public var left: Int
  /// How many the bundles need.
  public var needed: Int

  /// For example `812 GPUs seen: 420 too little memory, 300 not verified, 80 over maxRTT 20 ms, 12
  /// left, 16 needed`.
  public var text: String {
    let parts = steps.map { "\($0.count) \($0.words)" } + ["\(left) left", "\(needed) needed"]
    return "\(seen) \(noun)\(seen == 1 ? "" : "s") seen: \(parts.joined(separator: ", "))"
  }

  /// Counts.
  ///
  /// - Parameters:
  ///   - nearEnough: rows of the best group within the longest round trip, and that limit in
  ///     milliseconds; `nil` where none was asked for.
  init(
    _ inventory: DeviceInventory, _ bundle: GangDemand.Bundle, _ scan: DeviceScan,
    nearEnough: (rows: Set<Int>, limit: Float)? = nil
  ) {
    let countsGPUs = bundle.need.gpus > 0
    noun = countsGPUs ? "GPU" : "machine"
    needed = bundle.count * (countsGPUs ? bundle.need.gpus : 1)
    var counts = [Int](repeating: 0, count: Requirement.allCases.count)
    var (seen, left) = (0, 0)
    for row in inventory.rowRange where scan.misses[row] != DeviceScan.hole {
      let whole = countsGPUs ? Int(inventory.gpuCounts[row]) : 1
      seen += whole
      let misses = scan.misses[row]
      guard misses == 0 else {
        counts[misses.trailingZeroBitCount] += whole
        continue
      }
      let usable = countsGPUs ? min(whole, Int(scan.slots[row]) * bundle.need.gpus) : 1
      counts[Int(Requirement.busy.rawValue)] += whole - usable
      if let nearEnough, !nearEnough.rows.contains(row) {
        counts[Int(Requirement.roundTrip.rawValue)] += usable
      } else {
        left += usable
      }
    }
    (self.seen, self.left) = (seen, left)
    steps = Requirement.allCases.compactMap { requirement in
      let count = counts[Int(requirement.rawValue)]
      guard count > 0 else { return nil }
      return Step(
        requirement: requirement, count: count,
        words: Self.words(requirement, bundle, limit: nearEnough?.limit))
    }
  }

  private static func words(
    _ requirement: Requirement, _ bundle: GangDemand.Bundle, limit: Float?
  ) -> String {
    let filter = bundle.filter
    switch requirement {
    case .excluded: return "excluded"
    case .model: return filter.model.isEmpty ? "of another kind" : "not like '\(filter.model)'"
    case .deviceMemory: return "too little memory"
    case .gpus: return "in machines with too few GPUs"
    case .cpus: return "in machines with too few cores"
    case .memory: return "in machines with too little main memory"
    case .disk: return "in machines with too little disk"
    case .place: return "elsewhere, or where they are is in doubt"
    case .verification: return "not verified"
    case .security: return "without \(filter.security.names.joined(separator: ", "))"
    case .tier: return "too slow a way to the internet"
    case .labels: return "other labels"
    case .price: return "too dear"
    case .reliability: return "not reliable enough"
    case .busy: return "busy"
    case .roundTrip: return "over maxRTT \(limit.map(RoundTripWords.text) ?? "")"
    }
  }
}

/// Round trips for people, in tenths of a millisecond and rounded up: what is written is enough.
public enum RoundTripWords {
  /// For example `20 ms` or `14.2 ms`.
  public static func text(_ milliseconds: Float) -> String {
    milliseconds.isFinite ? "\(bare(milliseconds)) ms" : "unknown"
  }

  /// The number alone.
  static func bare(_ milliseconds: Float) -> String {
    let tenths = Int((min(max(milliseconds, 0), 1_000_000) * 10).rounded(.up))
    return tenths % 10 == 0 ? "\(tenths / 10)" : "\(tenths / 10).\(tenths % 10)"
  }
}
