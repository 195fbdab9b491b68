internal import IorunContract
internal import IorunCore
internal import IorunScheduler

extension PlacementChoice {
  /// Why a placement is what it is, in the contract's words.
  ///
  /// - Parameters:
  ///   - isPacked: whether leftovers decided.
  ///   - spares: the nodes of places that are held beside the gang; `nil` where these were not looked for.
  init(
    _ placement: GangPlacement, of spec: JobSpec, sites: NodeSites, isPacked: Bool,
    spares: [Spare]? = nil
  ) {
    let strategy = spec.gang.strategy(placement.fallback)
    let nodes = Set(placement.members.map(\.node))
    let used = Set(nodes.compactMap { sites.siteOf[$0] })
    let longest = sites.longest(among: nodes)
    var reasons = ChoiceReasons(
      asked: GangDemand.Strategy(spec.gang.placement ?? .spread),
      strategy: GangDemand.Strategy(strategy), noun: "nodes", used: nodes.count,
      eligible: placement.eligible,
      preference: isPacked && !strategy.isSite
        ? "among these the one where what is left over stays most useful to what is usually asked"
        : "among equals those with most free of what is scarcest")
    reasons.fallback = placement.fallback
    reasons.sites = longest == nil ? 0 : max(1, used.count)
    reasons.longestMilliseconds = longest ?? .infinity
    reasons.leastMilliseconds = placement.lowerBoundMilliseconds ?? 0
    if let spares, let wanted = spec.gang.terms?.spares {
      reasons.wantedSpares = wanted
      reasons.missingSpares = max(0, wanted - spares.count)
    }
    // What is proved of all groups holds for this one, whatever was rounded on the way.
    let least = placement.lowerBoundMilliseconds.map { min($0, longest ?? .infinity) }
    self.init(
      strategy: strategy, fallback: placement.fallback,
      longestRoundTripMilliseconds: longest.map { Double($0) },
      leastRoundTripMilliseconds: least.flatMap { $0.isFinite ? Double($0) : nil },
      spares: spares ?? [], reasons: reasons.words)
  }
}

extension JobSpec.Gang {
  /// The strategy that fitted: 0 for the first one.
  func strategy(_ fallback: Int) -> GangStrategy {
    let all = [placement ?? .spread] + (terms?.fallbacks ?? [])
    return all.indices.contains(fallback) ? all[fallback] : .spread
  }
}

extension GangStrategy {
  /// True where it depends on round trips.
  var isSite: Bool { if case .site = self { true } else { false } }
}

extension PlacementFunnel {
  /// The scheduler's funnel in the contract's words.
  init(_ funnel: GangFunnel) {
    self.init(
      noun: funnel.noun, seen: funnel.seen,
      steps: funnel.steps.map { Step(count: $0.count, words: $0.words) }, left: funnel.left,
      needed: funnel.needed)
  }
}
