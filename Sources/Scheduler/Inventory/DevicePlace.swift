/// Where a supplier says that devices are. A claim: see ``LocationCheck``.
public struct DevicePlace: Sendable, Hashable {
  /// ISO 3166 code, such as `DE`; empty where it was not told.
  public var country: String
  /// Empty where it was not told.
  public var city: String
  /// A cloud's name of the region, such as `eu-central-1`; empty for none.
  public var cloudRegion: String
  /// Where on Earth; `nil` where it was not told.
  public var point: GeoPoint?

  /// Describes a place.
  public init(
    country: String = "", city: String = "", cloudRegion: String = "", point: GeoPoint? = nil
  ) {
    self.country = country
    self.city = city
    self.cloudRegion = cloudRegion
    self.point = point
  }
}
