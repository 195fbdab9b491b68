/// A single change of a demand with which it would be placed now.
public struct Relaxation: Sendable, Hashable {
  /// What is asked less of; `nil` for the number of bundles.
  public var requirement: Requirement?
  /// What to do, for example `raise maxRTT to 31.5 ms`.
  public var words: String
  /// How far the change departs from what was asked, from 0 (not at all) to 1 (altogether).
  public var departure: Double
}
