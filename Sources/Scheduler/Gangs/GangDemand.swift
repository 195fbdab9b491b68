public import IorunCore

/// A gang to find devices for: bundles that start together or not at all.
public struct GangDemand: Sendable, Hashable {
  /// Equal bundles.
  public struct Bundle: Sendable, Hashable {
    /// How many.
    public var count: Int
    /// What each takes on its machine.
    public var need: ResourceSet
    /// Where each may be.
    public var filter: DeviceFilter

    /// Describes bundles.
    public init(count: Int, need: ResourceSet, filter: DeviceFilter = DeviceFilter()) {
      self.count = count
      self.need = need
      self.filter = filter
    }
  }

  /// How bundles lie to each other.
  public enum Strategy: Sendable, Hashable {
    /// On as few machines as possible.
    case pack
    /// On as many machines as possible.
    case spread
    /// All on one machine.
    case strictPack
    /// Each on a machine of its own.
    case strictSpread
    /// On sites whose round trips to each other are at most so long, and the shortest possible.
    case site(maxRTTMilliseconds: Float)
    /// On the sites whose longest round trip is the shortest possible.
    case closest
  }

  /// How many bundles at most may depend on one thing.
  public struct Limits: Sendable, Hashable {
    /// On one supplier; `nil` for any number.
    public var perSupplier: Int?
    /// In one country, or in one place where no country is known; `nil` for any number.
    public var perCountry: Int?

    /// Describes limits.
    public init(perSupplier: Int? = nil, perCountry: Int? = nil) {
      self.perSupplier = perSupplier
      self.perCountry = perCountry
    }
  }

  /// The bundles, by kind.
  public var bundles: [Bundle]
  /// What is tried first.
  public var strategy: Strategy
  /// What is tried where that does not fit, in this order.
  public var fallbacks: [Strategy]
  /// Anti-affinity.
  public var limits: Limits
  /// Machines that are kept beside the gang to take a lost member's place, each for a bundle of the
  /// first kind. A gang is placed without them where they do not fit.
  public var spares: Int

  /// The most bundles of a gang.
  public static let mostBundles = 100_000
  /// The most kinds of bundles of a gang.
  public static let mostKinds = 64

  /// Describes a gang. Wrong numbers are refused by the planner, with the reason.
  public init(
    bundles: [Bundle], strategy: Strategy, fallbacks: [Strategy] = [], limits: Limits = Limits(),
    spares: Int = 0
  ) {
    self.bundles = bundles
    self.strategy = strategy
    self.fallbacks = fallbacks
    self.limits = limits
    self.spares = spares
  }

  /// How many bundles there are of all kinds.
  public var count: Int { bundles.reduce(0) { $0 + $1.count } }

  /// What cannot be meant, for a person; `nil` where nothing is.
  var objection: String? {
    guard (1...Self.mostKinds).contains(bundles.count) else {
      return "a gang has 1 to \(Self.mostKinds) kinds of bundles, \(bundles.count) were asked for"
    }
    for bundle in bundles {
      guard (1...Self.mostBundles).contains(bundle.count) else {
        return "a gang has 1 to \(Self.mostBundles) bundles, \(bundle.count) were asked for"
      }
      guard bundle.need.milliCPUs >= 0, bundle.need.gpus >= 0 else {
        return "cpus and gpus must not be negative"
      }
      guard bundle.need != ResourceSet() else { return "a bundle asks for nothing" }
      guard (0...1).contains(bundle.filter.reliability) else {
        return "reliability must be 0 to 1, not \(bundle.filter.reliability)"
      }
      guard bundle.filter.mostMicrodollarsPerHour ?? 0 >= 0 else {
        return "the price must not be negative"
      }
    }
    guard count <= Self.mostBundles else {
      return "a gang has at most \(Self.mostBundles) bundles, \(count) were asked for"
    }
    guard (0...1024).contains(spares) else { return "spares must be 0 to 1,024, not \(spares)" }
    for limit in [limits.perSupplier, limits.perCountry].compactMap(\.self) where limit < 1 {
      return "at most \(limit) bundles of a supplier or country leaves none"
    }
    for case .site(let limit) in [strategy] + fallbacks where !(limit > 0) {
      return "the longest round trip must be above 0 ms, not \(limit)"
    }
    let isOnOne = ([strategy] + fallbacks).allSatisfy { $0 == .strictPack }
    let least = [limits.perSupplier, limits.perCountry].compactMap(\.self).min() ?? .max
    if isOnOne, least < count {
      return "all bundles on one machine, and at most \(least) with one supplier: not both"
    }
    return nil
  }
}
