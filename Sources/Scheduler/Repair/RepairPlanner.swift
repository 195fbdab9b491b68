internal import IorunCore

/// Finds new members for gangs that lost some: from their own spares, from the same sites, from sites
/// near enough to all that are left, or what their owners allow instead.
///
/// A loss costs one look at each site for each site of the gang that is left; only a gang that moves
/// as a whole is searched for anew. Same input, same answer.
public struct RepairPlanner: Sendable {
  /// What an owner allows where no device within the gang's longest round trip is free.
  public struct Allowance: Sendable, Hashable {
    /// The longest round trip may grow by this factor; 1 for not at all.
    public var stretch: Float
    /// The gang may go on with so few devices; `nil` for no fewer than it had.
    public var fewestDevices: Int?
    /// All members may move elsewhere.
    public var mayMigrate: Bool

    /// Describes what is allowed; the usual factor is 1.25.
    public init(stretch: Float = 1.25, fewestDevices: Int? = nil, mayMigrate: Bool = true) {
      self.stretch = stretch
      self.fewestDevices = fewestDevices
      self.mayMigrate = mayMigrate
    }
  }

  /// A gang that lost members.
  public struct Casualty: Sendable, Hashable {
    /// Devices that are left, by site.
    public var left: [Int: Int]
    /// Devices that were lost, by site.
    public var lost: [Int: Int]
    /// Warm spares that are left, by site: devices that are held for this gang.
    public var spares: [Int: Int]
    /// No round trip of the gang may be longer.
    public var maxRTTMilliseconds: Float
    /// What may be done where that cannot be kept.
    public var allowance: Allowance

    /// Describes a loss.
    public init(
      left: [Int: Int], lost: [Int: Int], spares: [Int: Int] = [:],
      maxRTTMilliseconds: Float = .infinity, allowance: Allowance = Allowance()
    ) {
      self.left = left
      self.lost = lost
      self.spares = spares
      self.maxRTTMilliseconds = maxRTTMilliseconds
      self.allowance = allowance
    }
  }

  /// What is done about a loss.
  public enum Repair: Sendable, Hashable {
    /// These devices join: by site, and how many of them were spares.
    case replaced([Int: Int], spares: Int)
    /// The same, and the gang's longest round trip grows to this.
    case degraded([Int: Int], maxRTTMilliseconds: Float)
    /// The gang goes on with what is left.
    case shrunk(devices: Int)
    /// The whole gang moves.
    case migrated(GroupChoice)
    /// Nothing that is allowed helps; the reason is for a person.
    case impossible(reason: String)
  }

  private let matrix: LatencyMatrix
  /// Free devices of each site.
  public private(set) var free: [Int]

  /// - Parameter free: free devices of each site, without lost ones and without spares; negative
  ///   numbers count as none.
  public init(_ matrix: LatencyMatrix, free: [Int]) {
    self.matrix = matrix
    self.free = (0..<matrix.count).map { $0 < free.count ? max(0, free[$0]) : 0 }
  }

  /// Decides for one gang, and takes what it is given.
  ///
  /// - Throws: `specInvalid` for sites that there are not, negative counts, and a round trip or
  ///   factor that is none.
  public mutating func repair(_ gang: Casualty) throws -> Repair {
    try check(gang)
    let missing = gang.lost.values.reduce(0, +)
    guard missing > 0 else { return .replaced([:], spares: 0) }
    let left = gang.left.filter { $0.value > 0 }.keys.sorted()
    if let (shares, fromSpares) = cover(
      missing, gang, left: left, within: gang.maxRTTMilliseconds)
    {
      take(shares, spares: gang.spares)
      return .replaced(shares, spares: fromSpares)
    }
    let stretched = gang.maxRTTMilliseconds * max(1, gang.allowance.stretch)
    if stretched > gang.maxRTTMilliseconds,
      let (shares, _) = cover(missing, gang, left: left, within: stretched)
    {
      take(shares, spares: gang.spares)
      return .degraded(
        shares, maxRTTMilliseconds: matrix.longest(among: Set(left).union(shares.keys).sorted()))
    }
    let remaining = gang.left.values.reduce(0, +)
    if let fewest = gang.allowance.fewestDevices, remaining >= max(1, fewest) {
      return .shrunk(devices: remaining)
    }
    if gang.allowance.mayMigrate {
      var capacities = free
      for (site, count) in gang.left { capacities[site] += count }
      for (site, count) in gang.spares { capacities[site] += count }
      let choice = GroupSelector(matrix, capacities: capacities)
        .choose(
          devices: remaining + missing, maxRTTMilliseconds: gang.maxRTTMilliseconds,
          steps: Self.migrationSteps)
      if let choice {
        free = capacities
        for share in choice.shares { free[share.site] -= share.devices }
        return .migrated(choice)
      }
    }
    return .impossible(reason: reason(missing, gang, left))
  }

  /// How many branches the search for a gang that moves may look at.
  private static let migrationSteps = 2_000

  /// Spares first, then the sites that lost members, then the sites nearest to the farthest of the
  /// others. Each added site must be near to those added before it, too.
  private func cover(
    _ missing: Int, _ gang: Casualty, left: [Int], within limit: Float
  ) -> (shares: [Int: Int], spares: Int)? {
    var members = left
    var shares: [Int: Int] = [:]
    var fromSpares = 0
    var open = missing
    func farthest(_ site: Int) -> Float {
      members.reduce(Float.zero) { $1 == site ? $0 : max($0, matrix[site, $1]) }
    }
    func join(_ site: Int, _ count: Int) {
      shares[site, default: 0] += count
      open -= count
      if !members.contains(site) { members.append(site) }
    }
    for site in gang.spares.keys.sorted() where open > 0 {
      let count = min(open, gang.spares[site] ?? 0)
      guard count > 0, farthest(site) <= limit else { continue }
      fromSpares += count
      join(site, count)
    }
    for site in gang.lost.keys.sorted() where open > 0 {
      let count = min(open, gang.lost[site] ?? 0, free[site])
      guard count > 0, farthest(site) <= limit else { continue }
      join(site, count)
    }
    guard open > 0 else { return (shares, fromSpares) }
    var near: [(distance: Float, site: Int)] = []
    for site in free.indices where free[site] > (shares[site] ?? 0) {
      let distance = farthest(site)
      if distance <= limit { near.append((distance, site)) }
    }
    near.sort { ($0.distance, $0.site) < ($1.distance, $1.site) }
    for (_, site) in near where open > 0 {
      let spare = min(shares[site] ?? 0, gang.spares[site] ?? 0)
      let count = min(open, free[site] - ((shares[site] ?? 0) - spare))
      guard count > 0, farthest(site) <= limit else { continue }
      join(site, count)
    }
    return open == 0 ? (shares, fromSpares) : nil
  }

  private mutating func take(_ shares: [Int: Int], spares: [Int: Int]) {
    for (site, count) in shares {
      free[site] -= max(0, count - max(0, spares[site] ?? 0))
    }
  }

  private func check(_ gang: Casualty) throws {
    for counts in [gang.left, gang.lost, gang.spares] {
      for (site, count) in counts where !free.indices.contains(site) || count < 0 || count > 1 << 30
      {
        throw IorunError(
          .specInvalid, "no gang has \(count) devices at site \(site) of \(free.count)")
      }
    }
    guard gang.maxRTTMilliseconds >= 0, gang.allowance.stretch >= 1,
      gang.allowance.stretch.isFinite
    else {
      throw IorunError(
        .specInvalid, "a gang cannot be repaired within \(gang.maxRTTMilliseconds) ms",
        remedy: "Give a round trip that is not negative, and a factor of at least 1")
    }
  }

  private func reason(_ missing: Int, _ gang: Casualty, _ left: [Int]) -> String {
    let all = free.reduce(0, +)
    let near = free.indices.reduce(0) { sum, site in
      let isNear = left.allSatisfy { matrix[site, $0] <= gang.maxRTTMilliseconds }
      return isNear ? sum + free[site] : sum
    }
    return "\(missing) devices are missing; \(all) are free, \(near) of them within "
      + "\(gang.maxRTTMilliseconds) ms of all \(gang.left.values.reduce(0, +)) that are left"
  }
}
