/// What the owner of a node says of it that no machine can tell. Claims: a place that measured round
/// trips contradict counts for nothing.
public struct NodeClaims: Hashable, Codable, Sendable {
  /// The price of an hour of one GPU, or of one core where the node has no GPU, in millionths of a
  /// dollar; `nil` where nothing is asked.
  public var microdollarsPerHour: Int?
  /// ISO 3166 code of the country, such as `DE`.
  public var country: String?
  /// The city.
  public var city: String?
  /// Degrees north, from -90 to 90.
  public var latitude: Double?
  /// Degrees east, from -180 to 180.
  public var longitude: Double?
  /// What selectors of labels look at.
  public var labels: [String: String]?

  /// The highest price that is believed: 1,000 dollars an hour.
  public static let mostMicrodollarsPerHour = 1_000_000_000
  /// The most labels.
  public static let labelLimit = 64
  /// The longest text, in bytes.
  public static let textLimit = 256

  /// Claims nothing.
  public init() {}

  /// True where it claims nothing.
  public var isEmpty: Bool { self == NodeClaims() }

  /// These claims with what `other` says in their place.
  public func changed(_ other: NodeClaims) -> NodeClaims {
    var changed = self
    changed.microdollarsPerHour = other.microdollarsPerHour ?? microdollarsPerHour
    changed.country = other.country ?? country
    changed.city = other.city ?? city
    changed.latitude = other.latitude ?? latitude
    changed.longitude = other.longitude ?? longitude
    changed.labels = other.labels ?? labels
    return changed
  }

  /// What no node can claim, for a person; `nil` where nothing is wrong.
  public var objection: String? {
    if let price = microdollarsPerHour, !(0...Self.mostMicrodollarsPerHour).contains(price) {
      return "a price of \(price) millionths of a dollar an hour"
    }
    if let country, country.utf8.count != 2 || !country.utf8.allSatisfy({ (65...90).contains($0) })
    {
      return "a country that is no code of two capital letters"
    }
    if let latitude, !(-90...90).contains(latitude) { return "a latitude of \(latitude)" }
    if let longitude, !(-180...180).contains(longitude) { return "a longitude of \(longitude)" }
    if (latitude == nil) != (longitude == nil) {
      return "a latitude or longitude without the other"
    }
    let labels = labels ?? [:]
    guard labels.count <= Self.labelLimit else { return "\(labels.count) labels" }
    for text in [city ?? ""] + labels.keys + labels.values
    where text.utf8.count > Self.textLimit || text.utf8.contains(where: { $0 < 32 }) {
      return "a text that is too long or has control characters"
    }
    return nil
  }
}
