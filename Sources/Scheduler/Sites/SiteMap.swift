public import IorunCore

/// Devices grouped into sites, within which latency does not matter, and the round trips between sites:
/// measured where they were, foretold by coordinates or by place where they were not.
///
/// A device joins the site of those to which its round trip is at most ``siteRoundTripMilliseconds``: by
/// the median of what was measured with members, and by no conclusion from third parties, since
/// every twentieth triple of the internet breaks the triangle rule. Where nothing was measured,
/// coordinates decide if both are sure of themselves, and else supplier and city; a claim that
/// measurements contradict counts for nothing. A device that turns out to be far from its site moves.
public struct SiteMap: Sendable {
  /// Devices that are so near each other are in one site.
  public static let siteRoundTripMilliseconds: Float = 2
  private static let leaveRoundTripMilliseconds: Float = 3
  /// A coordinate with a larger relative error does not say who is whose neighbour.
  private static let surest: Float = 0.2
  /// One with a larger error foretells nothing: it has not found its place yet.
  private static let usable: Float = 0.5
  /// Measurements kept of a pair of sites, and of a device with a site.
  private static let kept = 9
  /// For how long, in seconds, what was measured between sites says how far they are: one that comes
  /// later than that after the last takes the place of all before.
  public static let sampleLifeSeconds = 300.0
  private static let mostPartners = 64

  /// How a round trip between sites is known.
  public enum Source: UInt8, Sendable, Hashable, Comparable {
    /// Not at all.
    case none
    /// By countries or distance.
    case prior
    /// By coordinates.
    case coordinates
    /// Measured.
    case measured

    /// Orders by how far it may be believed.
    public static func < (left: Source, right: Source) -> Bool { left.rawValue < right.rawValue }
  }

  private struct Device: Sendable {
    var place: DevicePlace
    var supplier: UInt32
    var coordinate: NetworkCoordinate?
    var site: Int
    /// What was measured with others, the last of each.
    var roundTrips: [Int: Float] = [:]
  }

  private struct Site: Sendable {
    var members: Set<Int> = []
    /// The member that speaks for the site, and its coordinate.
    var leader = -1
    var coordinate: NetworkCoordinate?
  }

  /// What devices of one facility have in common.
  private struct Facility: Hashable {
    var supplier: UInt32
    var country: String
    var city: String
  }

  private var devices: [Int: Device] = [:]
  private var sites: [Site] = []
  private var emptySites: [Int] = []
  private var facilities: [Facility: Int] = [:]
  private var prior: RoundTripPrior
  private var check = LocationCheck()
  /// Round trips between members of two sites, the lower number first.
  private var between: [SIMD2<Int32>: [Float]] = [:]
  /// When that was measured last, in the caller's seconds.
  private var betweenAt: [SIMD2<Int32>: Double] = [:]
  private var countries = CountryTrips()
  private(set) var doubted: [Int: LocationCheck.Verdict] = [:]

  /// A map without devices.
  public init(prior: RoundTripPrior = RoundTripPrior()) { self.prior = prior }

  /// How many sites there are, empty ones with them: the size of the matrix.
  public var siteCount: Int { sites.count }

  /// A device's site.
  public func site(of device: Int) -> Int? { devices[device]?.site }

  /// A site's devices.
  public func members(of site: Int) -> Set<Int> {
    sites.indices.contains(site) ? sites[site].members : []
  }

  /// Claims of place that measurements contradict, by device.
  public var contradictedPlaces: [Int: LocationCheck.Verdict] { doubted }

  /// A device is there, or says something new of itself.
  public mutating func add(
    _ device: Int, place: DevicePlace = DevicePlace(), supplier: UInt32,
    coordinate: NetworkCoordinate? = nil, isAnchor: Bool = false
  ) {
    remove(device)
    check.claim(device, place.point, supplier: supplier, isAnchor: isAnchor)
    devices[device] = Device(place: place, supplier: supplier, coordinate: coordinate, site: -1)
    settle(device)
  }

  /// A device is gone.
  public mutating func remove(_ device: Int) {
    guard let known = devices.removeValue(forKey: device) else { return }
    check.claim(device, nil, supplier: known.supplier)
    doubted = check.verdicts
    leave(device, known.site)
    for other in known.roundTrips.keys { devices[other]?.roundTrips[device] = nil }
  }

  /// A device found where it is in the network.
  public mutating func located(_ device: Int, at coordinate: NetworkCoordinate) {
    guard devices[device] != nil else { return }
    devices[device]?.coordinate = coordinate
    if let site = devices[device]?.site, sites[site].leader == device {
      sites[site].coordinate = coordinate
    }
    if devices[device]?.roundTrips.isEmpty == true { settle(device) }
  }

  /// A round trip was measured. What is not a positive number, a device with itself and unknown devices
  /// are ignored.
  ///
  /// - Parameter now: when, in seconds from any moment; `nil` where ages do not matter.
  public mutating func measured(
    _ one: Int, _ other: Int, milliseconds: Float, atSeconds now: Double? = nil
  ) {
    guard one != other, milliseconds.isFinite, milliseconds > 0, let here = devices[one],
      let there = devices[other]
    else { return }
    if check.measured(one, other, milliseconds: milliseconds) { doubted = check.verdicts }
    remember(one, other, milliseconds)
    remember(other, one, milliseconds)
    learn(here, there, isDoubted: doubted[one] != nil || doubted[other] != nil, milliseconds)
    if here.site == there.site {
      if milliseconds > Self.leaveRoundTripMilliseconds {
        settle(max(one, other))
      }
    } else {
      note(milliseconds, between: here.site, there.site, at: now)
      guard milliseconds <= Self.siteRoundTripMilliseconds else { return }
      // Who is with fewer others moves, or the later one.
      let (few, many) = (sites[here.site].members.count, sites[there.site].members.count)
      settle(few == many ? max(one, other) : few < many ? one : other)
    }
  }

  /// When the round trip between two sites was measured last, as it was told; `nil` where that was not.
  public func measuredAtSeconds(_ one: Int, _ other: Int) -> Double? {
    betweenAt[Self.pair(one, other)]
  }

  /// What is usual between the countries of two devices.
  private mutating func learn(
    _ here: Device, _ there: Device, isDoubted: Bool, _ milliseconds: Float
  ) {
    let (from, to) = (here.place.country, there.place.country)
    guard !isDoubted, !from.isEmpty, !to.isEmpty,
      let usual = countries.usual(
        from, to, suppliers: (here.supplier, there.supplier), milliseconds: milliseconds)
    else { return }
    prior.set(from, to, milliseconds: usual)
  }

  /// The round trip between two sites, and how it is known; infinite where it is not.
  public func roundTrip(_ one: Int, _ other: Int) -> (milliseconds: Float, source: Source) {
    if one == other { return (0, .measured) }
    if let samples = between[Self.pair(one, other)], let median = Self.median(samples) {
      return (median, .measured)
    }
    if let here = coordinate(of: one), let there = coordinate(of: other) {
      return (here.expectedMilliseconds(to: there), .coordinates)
    }
    if let here = place(of: one), let there = place(of: other),
      let expected = prior.milliseconds(from: here, to: there)
    {
      return (expected, .prior)
    }
    return (.infinity, .none)
  }

  /// Round trips between all sites.
  public var matrix: LatencyMatrix {
    let count = sites.count
    let coordinates = sites.indices.map(coordinate)
    let places = sites.indices.map(place)
    var values = [Float](repeating: .infinity, count: count * count)
    for one in 0..<count where !sites[one].members.isEmpty {
      for other in 0..<one where !sites[other].members.isEmpty {
        var value = Float.infinity
        if let here = coordinates[one], let there = coordinates[other] {
          value = here.expectedMilliseconds(to: there)
        } else if let here = places[one], let there = places[other] {
          value = prior.milliseconds(from: here, to: there) ?? .infinity
        }
        values[one * count + other] = value
      }
    }
    for (pair, samples) in between {
      let (low, high) = (Int(pair.x), Int(pair.y))
      if let median = Self.median(samples) { values[high * count + low] = median }
    }
    // The bound of sites is the matrix's, and the size is right: there is always one.
    return LatencyMatrix(count: count, milliseconds: values) ?? LatencyMatrix.empty
  }

  // MARK: - Who belongs where

  /// Puts a device into the site where it belongs by what is known now.
  private mutating func settle(_ device: Int) {
    guard let known = devices[device] else { return }
    if known.site >= 0 { leave(device, known.site) }
    let site =
      measuredSite(known) ?? (known.roundTrips.isEmpty ? foretoldSite(known) : nil)
      ?? freshSite()
    devices[device]?.site = site
    sites[site].members.insert(device)
    if sites[site].leader < 0 {
      sites[site].leader = device
      sites[site].coordinate = known.coordinate
    }
    if let facility = facility(of: known), facilities[facility] == nil, doubted[device] == nil {
      facilities[facility] = site
    }
    for (other, milliseconds) in known.roundTrips.sorted(by: { $0.key < $1.key }) {
      guard let there = devices[other]?.site, there >= 0, there != site else { continue }
      note(milliseconds, between: site, there)
    }
  }

  /// The nearest site by what was measured with its members.
  private func measuredSite(_ device: Device) -> Int? {
    var bySite: [Int: [Float]] = [:]
    for (other, milliseconds) in device.roundTrips {
      guard let site = devices[other]?.site, site >= 0 else { continue }
      bySite[site, default: []].append(milliseconds)
    }
    let near = bySite.compactMap { site, samples in
      Self.median(samples).map { (milliseconds: $0, site: site) }
    }
    let nearest = near.min { ($0.milliseconds, $0.site) < ($1.milliseconds, $1.site) }
    guard let nearest, nearest.milliseconds <= Self.siteRoundTripMilliseconds else { return nil }
    return nearest.site
  }

  /// The site where a device is by its coordinate, or by whose and where it is.
  private func foretoldSite(_ device: Device) -> Int? {
    if let coordinate = device.coordinate, coordinate.error <= Self.surest {
      var nearest: (milliseconds: Float, site: Int)?
      for site in sites.indices where !sites[site].members.isEmpty {
        guard let there = self.coordinate(of: site), there.error <= Self.surest else { continue }
        let expected = coordinate.expectedMilliseconds(to: there)
        if expected < nearest?.milliseconds ?? .infinity { nearest = (expected, site) }
      }
      guard let nearest, nearest.milliseconds <= Self.siteRoundTripMilliseconds else { return nil }
      return nearest.site
    }
    guard device.coordinate == nil, let facility = facility(of: device) else { return nil }
    return facilities[facility]
  }

  private func facility(of device: Device) -> Facility? {
    guard !device.place.city.isEmpty else { return nil }
    return Facility(
      supplier: device.supplier, country: device.place.country, city: device.place.city)
  }

  private mutating func freshSite() -> Int {
    if let site = emptySites.popLast() { return site }
    sites.append(Site())
    return sites.count - 1
  }

  private mutating func leave(_ device: Int, _ site: Int) {
    guard site >= 0 else { return }
    sites[site].members.remove(device)
    if sites[site].leader == device {
      sites[site].leader = sites[site].members.min() ?? -1
      sites[site].coordinate = devices[sites[site].leader]?.coordinate
    }
    guard sites[site].members.isEmpty else { return }
    emptySites.append(site)
    facilities = facilities.filter { $0.value != site }
    between = between.filter { $0.key.x != Int32(site) && $0.key.y != Int32(site) }
    betweenAt = betweenAt.filter { $0.key.x != Int32(site) && $0.key.y != Int32(site) }
  }

  // MARK: - What is known of sites

  private func coordinate(of site: Int) -> NetworkCoordinate? {
    sites[site].coordinate.flatMap { $0.error <= Self.usable ? $0 : nil }
  }

  /// The place that the first member claims of which nothing contradicts the claim.
  private func place(of site: Int) -> DevicePlace? {
    sites[site].members.lazy.filter { doubted[$0] == nil }.min().flatMap { devices[$0]?.place }
  }

  private mutating func remember(_ device: Int, _ other: Int, _ milliseconds: Float) {
    guard let known = devices[device] else { return }
    if known.roundTrips[other] == nil, known.roundTrips.count >= Self.mostPartners,
      let farthest = known.roundTrips.max(by: { ($0.value, $0.key) < ($1.value, $1.key) })
    {
      // Neighbours say where a device belongs; those far away only say where it does not.
      devices[device]?.roundTrips[farthest.key] = nil
    }
    devices[device]?.roundTrips[other] = milliseconds
  }

  private mutating func note(
    _ milliseconds: Float, between one: Int, _ other: Int, at now: Double? = nil
  ) {
    var samples = between[Self.pair(one, other), default: []]
    if let now {
      let last = betweenAt.updateValue(now, forKey: Self.pair(one, other))
      if let last, now - last > Self.sampleLifeSeconds { samples = [] }
    }
    if samples.count >= Self.kept { samples.removeFirst() }
    samples.append(milliseconds)
    between[Self.pair(one, other)] = samples
  }

  private static func pair(_ one: Int, _ other: Int) -> SIMD2<Int32> {
    SIMD2(Int32(min(one, other)), Int32(max(one, other)))
  }

  private static func median(_ samples: [Float]) -> Float? {
    samples.isEmpty ? nil : samples.sorted()[samples.count / 2]
  }
}
