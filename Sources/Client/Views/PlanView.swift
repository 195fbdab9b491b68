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
    places = plan.places.map {
      PlaceView(
        rank: $0.rank, node: $0.node.description, nodeName: $0.nodeName, gpuIndices: $0.gpuIndices)
    }
  }
}
