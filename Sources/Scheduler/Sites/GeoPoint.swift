internal import Foundation

/// A place on Earth.
public struct GeoPoint: Sendable, Hashable {
  /// Degrees north, from -90 to 90.
  public let latitude: Float
  /// Degrees east, from -180 to 180.
  public let longitude: Float

  /// No light in glass goes further in a millisecond there and back: about 200 km/ms one way.
  static let fibreKilometresPerMillisecond: Float = 100
  private static let earthDiameterKilometres = 12_742.0

  /// A place; `nil` for numbers that are none.
  public init?(latitude: Float, longitude: Float) {
    guard (-90...90).contains(latitude), (-180...180).contains(longitude) else { return nil }
    self.latitude = latitude
    self.longitude = longitude
  }

  /// The great circle between two places (haversine formula), on a sphere: up to 0.6 % wrong.
  public func kilometres(to other: GeoPoint) -> Float {
    func radians(_ degrees: Float) -> Double { Double(degrees) * .pi / 180 }
    let (north, east) = (
      radians(other.latitude) - radians(latitude), radians(other.longitude) - radians(longitude)
    )
    let chord =
      sin(north / 2) * sin(north / 2)
      + cos(radians(latitude)) * cos(radians(other.latitude)) * sin(east / 2) * sin(east / 2)
    return Float(Self.earthDiameterKilometres * asin(min(1, chord.squareRoot())))
  }

  /// No round trip between two places is shorter than this, in milliseconds.
  public func leastRoundTripMilliseconds(to other: GeoPoint) -> Float {
    // The sphere's error must not make a liar of anybody.
    0.99 * kilometres(to: other) / Self.fibreKilometresPerMillisecond
  }
}
