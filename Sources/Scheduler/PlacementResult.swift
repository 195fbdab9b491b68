/// What became of a request: the whole gang has places, or none of it has.
public enum PlacementResult: Sendable, Hashable {
  /// Every rank has a place.
  case placed(GangPlacement)
  /// No rank has one.
  case refused(PlacementRefusal)
}
