/// One of several ways to serve a demand, none of which is worse than another in every respect.
public struct GangOffer: Sendable, Hashable {
  /// The devices, and what they cost.
  public var choice: GangChoice
  /// What speaks for it, such as `cheapest`.
  public var words: String
}
