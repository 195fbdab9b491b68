/// One of several ways to serve a demand, none of which is worse than another in every respect, but for
/// the alternatives where there is little to choose from.
public struct GangOffer: Sendable, Hashable {
  /// The devices, and what they cost.
  public var choice: GangChoice
  /// What speaks for it, such as `cheapest`.
  public var words: String
  /// True for an alternative that another offer beats: not better in anything, and worse in something.
  public var isDominated = false
}
