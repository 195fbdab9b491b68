public import IorunCore

/// Why a gang lies where it does, a sentence each.
public struct ChoiceReasons: Sendable, Hashable {
  /// What was asked first.
  public var asked: GangDemand.Strategy
  /// What fitted.
  public var strategy: GangDemand.Strategy
  /// How many were tried before that.
  public var fallback = 0
  /// What is counted: `machines` or `nodes`.
  public var noun: String
  /// How many are used, and how many met every requirement and had room.
  public var used: Int
  /// How many met every requirement and had room.
  public var eligible: Int
  /// How many sites are used; 0 where they are not known.
  public var sites = 0
  /// The longest round trip, and what is proved to be impossible below, in milliseconds.
  public var longestMilliseconds: Float = 0
  /// No group has a shorter longest round trip.
  public var leastMilliseconds: Float = 0
  /// What decides among equals, for a person.
  public var preference: String
  /// Spares that were wanted and not found, of how many.
  public var missingSpares = 0
  /// How many spares were wanted.
  public var wantedSpares = 0

  /// Describes a choice.
  public init(
    asked: GangDemand.Strategy, strategy: GangDemand.Strategy, noun: String, used: Int,
    eligible: Int, preference: String
  ) {
    self.asked = asked
    self.strategy = strategy
    self.noun = noun
    self.used = used
    self.eligible = eligible
    self.preference = preference
  }

  /// The sentences.
  public var words: [String] {
    var words = ["\(used) of \(eligible) \(noun) that meet every requirement and have room"]
    if fallback > 0 {
      words.append("fallback \(fallback): \(strategy.words), since \(asked.words) did not fit")
    }
    words.append(strategyWords)
    words.append(preference)
    if missingSpares > 0 {
      words.append("no room for \(missingSpares) of \(wantedSpares) spares")
    }
    return words
  }

  private var strategyWords: String {
    switch strategy {
    case .site, .closest:
      let trip = RoundTripWords.text(longestMilliseconds)
      if sites == 1 { return "all in one site" }
      if sites == 0 { return "their sites are not known" }
      if longestMilliseconds <= leastMilliseconds {
        return "\(sites) sites within \(trip): no shorter round trip is possible"
      }
      return "\(sites) sites within \(trip); none shorter than "
        + "\(RoundTripWords.text(leastMilliseconds)) is possible"
    case .pack: return "the roomiest \(noun) first, so that few are used"
    case .spread, .strictSpread: return "one on each in turn"
    case .strictPack: return "one holds all"
    }
  }
}

extension GangPlanner {
  /// Why a choice is what it is, a sentence each.
  func reasons(
    _ choice: GangChoice, _ demand: GangDemand, machines: Int, eligible: Int
  ) -> [String] {
    var reasons = ChoiceReasons(
      asked: demand.strategy, strategy: choice.strategy, noun: "machines", used: machines,
      eligible: eligible,
      preference: "among equals the cheapest, then certified, then reliable ones")
    reasons.fallback = choice.fallback
    reasons.sites = choice.sites.count
    reasons.longestMilliseconds = choice.maxRTTMilliseconds
    reasons.leastMilliseconds = choice.lowerBoundMilliseconds
    reasons.missingSpares = demand.spares - choice.spares.count
    reasons.wantedSpares = demand.spares
    return reasons.words
  }
}

extension GangDemand.Strategy {
  /// The strategy of a job's spec.
  public init(_ strategy: GangStrategy) {
    self =
      switch strategy {
      case .spread: .spread
      case .pack: .pack
      case .strictPack: .strictPack
      case .strictSpread: .strictSpread
      case .site(nil): .closest
      case .site(let limit?): .site(maxRTTMilliseconds: Float(limit))
      }
  }

  /// The strategy as a spec writes it.
  public var words: String {
    switch self {
    case .pack: "PACK"
    case .spread: "SPREAD"
    case .strictPack: "STRICT_PACK"
    case .strictSpread: "STRICT_SPREAD"
    case .site(let limit): "SITE(\(RoundTripWords.text(limit)))"
    case .closest: "CLOSEST"
    }
  }
}
