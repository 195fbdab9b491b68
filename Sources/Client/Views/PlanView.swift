public import IorunContract
internal import IorunCore

/// Where a job would run in JSON.
public struct PlanView: Encodable, Sendable {
  let fits: Bool
  let fitsWhenIdle: Bool
  let refusal: String?
  let places: [PlaceView]
  let sites: [Int]?
  let longestRoundTripMilliseconds: Double?
  let strategy: String?
  let choice: ChoiceView?
  let offers: [OffersView.OfferView]?
  let funnel: FunnelView?

  /// One rank's place.
  struct PlaceView: Encodable, Sendable {
    let rank: Int
    let node: String
    let nodeName: String
    let gpuIndices: [Int]
  }

  /// Shows a plan.
  public init(_ plan: PlacementPlan) {
    fits = plan.refusal == nil
    fitsWhenIdle = plan.fitsWhenIdle
    refusal = plan.refusal
    sites = plan.sites
    longestRoundTripMilliseconds = plan.longestRoundTripMilliseconds
    strategy = plan.strategy?.description
    choice = plan.choice.map(ChoiceView.init)
    offers = plan.offers.map { OffersView($0).offers }
    funnel = plan.funnel.map(FunnelView.init)
    places = plan.places.map {
      PlaceView(
        rank: $0.rank, node: $0.node.description, nodeName: $0.nodeName, gpuIndices: $0.gpuIndices)
    }
  }
}

/// Why a job's ranks lie where they do, in JSON.
struct ChoiceView: Encodable, Sendable {
  let strategy: String
  let fallback: Int
  let longestRoundTripMilliseconds: Double?
  let leastRoundTripMilliseconds: Double?
  let optimalityGap: Double?
  let spares: [SpareView]
  let reasons: [String]

  /// A place that is held beside the gang.
  struct SpareView: Encodable, Sendable {
    let node: String
    let nodeName: String
  }

  init(_ choice: PlacementChoice) {
    strategy = choice.strategy.description
    fallback = choice.fallback
    longestRoundTripMilliseconds = choice.longestRoundTripMilliseconds
    leastRoundTripMilliseconds = choice.leastRoundTripMilliseconds
    optimalityGap = choice.optimalityGap
    spares = choice.spares.map { SpareView(node: $0.node.description, nodeName: $0.nodeName) }
    reasons = choice.reasons
  }
}

/// What became of all GPUs or nodes, in JSON.
struct FunnelView: Encodable, Sendable {
  let noun: String
  let seen: Int
  let steps: [StepView]
  let left: Int
  let needed: Int?

  /// Those that ended at one requirement.
  struct StepView: Encodable, Sendable {
    let count: Int
    let words: String
  }

  init(_ funnel: PlacementFunnel) {
    noun = funnel.noun
    seen = funnel.seen
    steps = funnel.steps.map { StepView(count: $0.count, words: $0.words) }
    left = funnel.left
    needed = funnel.needed
  }
}
