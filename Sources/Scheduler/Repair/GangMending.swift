public import IorunCore

/// A gang that lost nodes, and what becomes of it: what `NodeInventory.mend` decides about.
public struct GangMending: Sendable {
  /// A place that is held for the gang.
  public struct Seat: Sendable, Hashable {
    /// The rank that it is for; `nil` for a spare.
    public var rank: Int?
    /// Where it is.
    public var node: PeerID
    /// The GPUs that it holds there.
    public var gpuIndices: [Int]

    /// Describes a place.
    public init(rank: Int?, node: PeerID, gpuIndices: [Int]) {
      self.rank = rank
      self.node = node
      self.gpuIndices = gpuIndices
    }
  }

  /// What is done about a loss.
  public enum Outcome: Sendable, Hashable {
    /// All ranks have places again.
    ///
    /// - Parameters:
    ///   - joined: the places that are new to it.
    ///   - reached: its longest round trip in milliseconds, where that is more than it asked for.
    case mended([GangPlacement.Member], joined: [Seat], reached: Float?)
    /// It goes on with the ranks that are left, which are numbered anew.
    case shrunk([GangPlacement.Member])
  }

  /// What the whole gang asks, with all its ranks; the nodes that it excludes are those that it lost.
  public var request: GangRequest
  /// The places that are held for it.
  public var seats: [Seat]
  /// The nodes that it lost: places of the same site come before others.
  public var lostNodes: [PeerID]
  /// No round trip of the gang may be longer; infinite where it asked for no site.
  public var maxRTTMilliseconds: Float
  /// What may be done where nothing near is free.
  public var onLoss: PlacementTerms.OnLoss?
  /// With how many ranks it still goes on where it may shrink.
  public var leastRanks: Int

  /// Describes a gang and its loss.
  public init(
    request: GangRequest, seats: [Seat], lostNodes: [PeerID], maxRTTMilliseconds: Float = .infinity,
    onLoss: PlacementTerms.OnLoss? = nil, leastRanks: Int = 1
  ) {
    self.request = request
    self.request.excluding = Set(lostNodes)
    self.seats = seats
    self.lostNodes = lostNodes
    self.maxRTTMilliseconds = maxRTTMilliseconds
    self.onLoss = onLoss
    self.leastRanks = leastRanks
  }

  /// What one more rank of it asks of a node.
  var joining: GangRequest {
    var joining = request
    joining.ranks = 1
    joining.placement = .spread
    joining.fallbacks = []
    joining.limits = GangDemand.Limits()
    return joining
  }

  var allowance: RepairPlanner.Allowance {
    RepairPlanner.Allowance(
      stretch: onLoss == .degrade ? RepairPlanner.Allowance().stretch : 1,
      fewestDevices: onLoss == .shrink ? leastRanks : nil,
      // Who moves a gang searches all nodes with its limits: not for the planner, who knows sites.
      mayMigrate: false)
  }

  /// The places of the ranks that are left, numbered anew.
  func shrunk(to kept: [Seat]) -> [GangPlacement.Member] {
    kept.sorted { $0.rank ?? 0 < $1.rank ?? 0 }.enumerated().map { rank, seat in
      GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
    }
  }

  /// Who is left keeps its number; the others get the numbers that are missing.
  func numbered(_ kept: [Seat], _ joined: [Seat]) -> [GangPlacement.Member] {
    var places: [Int: Seat] = [:]
    for seat in kept { if let rank = seat.rank { places[rank] = seat } }
    var open = joined[...]
    return (0..<request.ranks).compactMap { rank in
      guard let seat = places[rank] ?? open.popFirst() else { return nil }
      return GangPlacement.Member(rank: rank, node: seat.node, gpuIndices: seat.gpuIndices)
    }
  }

  /// True where these nodes, one for each rank, are apart as the gang asks.
  func keepsLimits(_ nodes: [NodeOffer]) -> Bool {
    func most(_ key: (NodeOffer) -> String) -> Int {
      Dictionary(grouping: nodes, by: key).values.map(\.count).max() ?? 0
    }
    if request.placement == .strictSpread, Set(nodes.map(\.node)).count < nodes.count {
      return false
    }
    return most(\.supplier) <= request.limits.perSupplier ?? .max
      && most(\.region) <= request.limits.perCountry ?? .max
  }
}
