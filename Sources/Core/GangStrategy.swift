/// How the ranks of a gang lie to each other, as a job spec says it: `SITE(20ms)`.
public enum GangStrategy: Hashable, Sendable {
  /// On as few nodes as possible.
  case pack
  /// On as many nodes as possible.
  case spread
  /// All on one node.
  case strictPack
  /// Each on a node of its own.
  case strictSpread
  /// On nodes whose round trips to each other are at most so long, and the shortest possible; `nil` for
  /// the shortest possible, however long.
  case site(maxRoundTripMilliseconds: Double?)

  /// What a spec may ask for, in milliseconds.
  public static let roundTrips = 0.01...10_000.0
}

extension GangStrategy: LosslessStringConvertible {
  /// As a spec writes it.
  public var description: String {
    switch self {
    case .pack: return "PACK"
    case .spread: return "SPREAD"
    case .strictPack: return "STRICT_PACK"
    case .strictSpread: return "STRICT_SPREAD"
    case .site(nil): return "SITE"
    case .site(let limit?):
      let isWhole = limit == limit.rounded() && abs(limit) < 1e9
      return "SITE(\(isWhole ? "\(Int(limit))" : "\(limit)")ms)"
    }
  }

  /// Reads `PACK`, `SPREAD`, `STRICT_PACK`, `STRICT_SPREAD`, `SITE`, `SITE(20ms)` or `SITE(20)`, in any
  /// case; `nil` for anything else and for round trips beyond ``roundTrips``.
  public init?(_ description: String) {
    let text = description.uppercased()
    switch text {
    case "PACK": self = .pack
    case "SPREAD": self = .spread
    case "STRICT_PACK": self = .strictPack
    case "STRICT_SPREAD": self = .strictSpread
    case "SITE": self = .site(maxRoundTripMilliseconds: nil)
    default:
      guard text.hasPrefix("SITE("), text.hasSuffix(")") else { return nil }
      var number = text.dropFirst(5).dropLast()
      if number.hasSuffix("MS") { number = number.dropLast(2) }
      while number.last == " " { number = number.dropLast() }
      guard let limit = Double(number), Self.roundTrips.contains(limit) else { return nil }
      self = .site(maxRoundTripMilliseconds: limit)
    }
  }
}

extension GangStrategy: Codable {
  /// Reads the textual form.
  public init(from decoder: any Decoder) throws {
    let text = try decoder.singleValueContainer().decode(String.self)
    guard let strategy = GangStrategy(text) else {
      throw IorunError(.malformed, "'\(text.prefix(64))' is no placement")
    }
    self = strategy
  }

  /// Writes the textual form.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
