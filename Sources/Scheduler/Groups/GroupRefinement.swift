public import IorunCore

/// A choice that is made again on fresh measurements: round trips that were only foretold decide who is
/// worth measuring, and never who is chosen.
///
///     var refinement = GroupRefinement(expected, capacities: free, devices: 16)
///     for (left, right) in refinement.pairs { refinement.measured(left, right, milliseconds: …) }
///     let choice = refinement.choose()
public struct GroupRefinement: Sendable {
  /// How many more devices than are wanted are measured.
  private static let spareShare = 0.3
  /// A round trip among the candidates that was not measured in the end.
  private static let unmeasured = Float.nan

  private let capacities: [Int]
  private let devices: Int
  private let count: Int
  private var values: [Float]
  /// The sites that are worth measuring, ascending: those of the choice by what is foretold, and
  /// spares.
  public let candidates: [Int]

  /// Chooses candidates; `nil` where the wanted number of devices is not there.
  ///
  /// - Parameters:
  ///   - expected: foretold round trips.
  public init?(_ expected: LatencyMatrix, capacities: [Int], devices: Int) {
    let capacities = (0..<expected.count).map { $0 < capacities.count ? max(0, capacities[$0]) : 0 }
    guard let choice = GroupSelector(expected, capacities: capacities).choose(devices: devices)
    else {
      return nil
    }
    var sites = choice.shares.map(\.site)
    var room = sites.reduce(0) { $0 + capacities[$1] }
    let wanted = Int((Double(devices) * (1 + Self.spareShare)).rounded(.up))
    var reach = (0..<expected.count).map { site in
      sites.map { expected[$0, site] }.max() ?? .infinity
    }
    for site in sites { reach[site] = .infinity }
    while room < wanted {
      let next = reach.indices.filter { capacities[$0] > 0 && reach[$0] < .infinity }
        .min { (reach[$0], $0) < (reach[$1], $1) }
      guard let next else { break }
      sites.append(next)
      room += capacities[next]
      reach[next] = .infinity
      for site in reach.indices where reach[site] < .infinity {
        reach[site] = max(reach[site], expected[next, site])
      }
    }
    candidates = sites.sorted()
    count = candidates.count
    self.capacities = candidates.map { capacities[$0] }
    self.devices = devices
    values = Array(repeating: Self.unmeasured, count: count * count)
  }

  /// The pairs to measure, by row of the matrix.
  public var pairs: [(left: Int, right: Int)] {
    candidates.indices.flatMap { left in
      candidates[..<left].map { (candidates[left], $0) }
    }
  }

  /// What was measured between two candidates; others are ignored.
  public mutating func measured(_ left: Int, _ right: Int, milliseconds: Float) {
    guard let left = candidates.firstIndex(of: left), let right = candidates.firstIndex(of: right)
    else { return }
    values[left * count + right] = milliseconds
    values[right * count + left] = milliseconds
  }

  /// The best group among what was measured; a pair that was not is never part of it.
  public func choose(steps: Int = 200_000) -> GroupChoice? {
    guard let matrix = LatencyMatrix(count: count, milliseconds: values),
      var choice = GroupSelector(matrix, capacities: capacities).choose(
        devices: devices, steps: steps)
    else { return nil }
    choice.shares = choice.shares.map { share in
      GroupChoice.Share(site: candidates[share.site], devices: share.devices)
    }
    // Proved among the candidates only.
    choice.lowerBoundMilliseconds = 0
    return choice
  }
}

extension GangPlacer {
  /// The sites that are worth measuring before a gang that wants to be near itself is placed: those it
  /// would take by what is known, and spares; and the nodes with room in each, ascending.
  ///
  /// - Returns: `nil` where no sites hold the gang.
  public func refinement(
    of request: GangRequest, on offers: [NodeOffer]
  ) -> (refinement: GroupRefinement, nodes: [Int: [PeerID]])? {
    var capacities = [Int](repeating: 0, count: sites.matrix.count)
    var nodes: [Int: [PeerID]] = [:]
    for offer in offers where request.allows(offer) {
      guard let site = sites.siteOf[offer.node] else { continue }
      let slots = offer.freeRoom(gpuModel: request.gpuModel)
        .slots(for: request.resources, limit: request.ranks)
      guard slots > 0 else { continue }
      capacities[site] += slots
      nodes[site, default: []].append(offer.node)
    }
    let refinement = GroupRefinement(sites.matrix, capacities: capacities, devices: request.ranks)
    return refinement.map { ($0, nodes.mapValues { $0.sorted() }) }
  }
}
