public import IorunContract
internal import IorunCore

/// Offers for a job in JSON: `offers`.
public struct OffersView: Encodable, Sendable {
  let offers: [OfferView]

  /// One offer.
  struct OfferView: Encodable, Sendable {
    let words: String
    let dollarsPerHour: Double
    let reliability: Double
    let longestRoundTripMilliseconds: Double?
    let leastRoundTripMilliseconds: Double
    let shares: [ShareView]
    let reasons: [String]
  }

  /// What one node would get.
  struct ShareView: Encodable, Sendable {
    let node: String
    let nodeName: String
    let ranks: Int
  }

  /// Shows offers.
  public init(_ offers: [PlacementOffer]) {
    self.offers = offers.map { offer in
      OfferView(
        words: offer.words, dollarsPerHour: Double(offer.microdollarsPerHour) / 1e6,
        reliability: offer.reliability,
        longestRoundTripMilliseconds: offer.longestRoundTripMilliseconds,
        leastRoundTripMilliseconds: offer.leastRoundTripMilliseconds,
        shares: offer.shares.map {
          ShareView(node: $0.node.description, nodeName: $0.nodeName, ranks: $0.ranks)
        }, reasons: offer.reasons)
    }
  }
}

/// Why a job is where it is, in JSON.
public struct ExplanationView: Encodable, Sendable {
  let job: JobView
  let plan: PlanView?
  let sites: [Int]
  let longestRoundTripMilliseconds: Double?
  let notes: [String]?
  let choice: ChoiceView?

  /// Shows an explanation.
  public init(_ explanation: JobExplanation) {
    job = JobView(explanation.job)
    plan = explanation.plan.map(PlanView.init)
    sites = explanation.sites
    longestRoundTripMilliseconds = explanation.longestRoundTripMilliseconds
    notes = explanation.notes
    choice = explanation.choice.map(ChoiceView.init)
  }
}
