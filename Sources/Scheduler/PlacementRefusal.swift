/// Why a gang was not placed.
public struct PlacementRefusal: Sendable, Hashable {
  /// Why, for the person who asked: how many nodes were seen, what each of them lacks, the nearest
  /// miss, and what to change.
  public var explanation: String
  /// True where the gang would fit if running jobs ended; false where it never fits on the nodes
  /// that are alive and not excluded.
  public var fitsWhenIdle: Bool

  /// Describes a refusal.
  public init(explanation: String, fitsWhenIdle: Bool) {
    self.explanation = explanation
    self.fitsWhenIdle = fitsWhenIdle
  }
}
