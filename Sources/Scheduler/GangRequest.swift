public import IorunCore

/// A gang to place: so many equal ranks, all of them or none.
public struct GangRequest: Sendable, Hashable {
  /// How many ranks.
  public var ranks: Int
  /// What each rank takes on its node.
  public var resources: ResourceSet
  /// A part of the GPU model's name that every GPU must have, compared without case; `nil` or empty
  /// for any. Without meaning where no GPU is asked for.
  public var gpuModel: String?
  /// How the ranks lie to each other.
  public var placement: GangStrategy
  /// Nodes that must not be used, for example because the last attempt failed there.
  public var excluding: Set<PeerID>
  /// Nodes that the job's own terms leave out, each with the term that it breaks, in words that follow
  /// a number: `not in region=in(de,fr)`.
  public var barred: [PeerID: String]
  /// How the ranks may lie where `placement` does not fit, in this order.
  public var fallbacks: [GangStrategy]
  /// How many ranks may depend on one supplier or region.
  public var limits: GangDemand.Limits

  /// The most ranks a gang may have: a bound on the work of one placement.
  public static let maximumRanks = 100_000

  /// Describes a gang to place. Wrong numbers are refused by the placer, with the reason.
  public init(
    ranks: Int, resources: ResourceSet, gpuModel: String? = nil,
    placement: GangStrategy = .spread, excluding: Set<PeerID> = [],
    barred: [PeerID: String] = [:], fallbacks: [GangStrategy] = [],
    limits: GangDemand.Limits = GangDemand.Limits()
  ) {
    self.barred = barred
    self.fallbacks = fallbacks
    self.limits = limits
    self.placement = placement
    self.ranks = ranks
    self.resources = resources
    self.gpuModel = gpuModel
    self.excluding = excluding
  }

  /// What is wrong with the numbers themselves, for a person; `nil` where nothing is.
  var objection: String? {
    if ranks < 1 { return "a gang needs at least 1 rank, \(ranks) were asked for" }
    if ranks > Self.maximumRanks {
      return "a gang has at most \(Self.maximumRanks) ranks, \(ranks) were asked for"
    }
    if resources.milliCPUs < 0 { return "cpus must not be negative" }
    if resources.gpus < 0 { return "gpus must not be negative" }
    for case .site(let limit?) in [placement] + fallbacks
    where !GangStrategy.roundTrips.contains(limit) {
      return "the longest round trip must be above 0 and at most 10,000 ms, not \(limit)"
    }
    for limit in [limits.perSupplier, limits.perCountry].compactMap(\.self) where limit < 1 {
      return "at most \(limit) ranks on a supplier or in a region leaves none"
    }
    return nil
  }

  /// True for a node that may be used.
  public func allows(_ offer: NodeOffer) -> Bool {
    offer.isPlaceable && !excluding.contains(offer.node) && barred[offer.node] == nil
  }
}
