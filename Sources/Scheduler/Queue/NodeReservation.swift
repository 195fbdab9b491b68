public import IorunCore

/// When a gang that waits can start at the latest: the shadow time of EASY backfill (Lifka, JSSPP 1995)
/// on nodes, from the ends that running jobs are bound to. Another job may run meanwhile on what is
/// held for the gang if it is bound to end before.
public enum NodeReservation {
  /// What a running job gives back, and when at the latest.
  public struct Release: Sendable {
    /// Until when its limits let it run; what is not finite counts as never.
    public var atSeconds: Double
    /// A place on a node that becomes free.
    public var seats: [(node: PeerID, gpuIndices: [Int])]
    /// What each of the places holds.
    public var resources: ResourceSet

    /// Describes an end.
    public init(
      atSeconds: Double, seats: [(node: PeerID, gpuIndices: [Int])], resources: ResourceSet
    ) {
      self.atSeconds = atSeconds
      self.seats = seats
      self.resources = resources
    }
  }

  /// - Returns: infinity where the ends that are bound do not make room enough.
  public static func shadowSeconds(
    of request: GangRequest, on offers: [NodeOffer], releases: [Release], placer: GangPlacer
  ) -> Double {
    let bound = releases.filter { $0.atSeconds.isFinite }.sorted { $0.atSeconds < $1.atSeconds }
    func fits(after count: Int) -> Bool {
      placer.fits(request, on: self.offers(offers, without: bound.prefix(count)))
    }
    guard !bound.isEmpty, fits(after: bound.count) else { return .infinity }
    // More that has ended never fits worse: halving finds the first end that is enough.
    var (low, high) = (0, bound.count)
    while low < high {
      let middle = (low + high) / 2
      if fits(after: middle) { high = middle } else { low = middle + 1 }
    }
    return low == 0 ? -.infinity : bound[low - 1].atSeconds
  }

  private static func offers(
    _ offers: [NodeOffer], without ended: some Sequence<Release>
  ) -> [NodeOffer] {
    var offers = offers
    let index = Dictionary(offers.indices.map { (offers[$0].node, $0) }) { first, _ in first }
    for release in ended {
      for seat in release.seats {
        guard let index = index[seat.node] else { continue }
        offers[index].release(release.resources, gpus: seat.gpuIndices)
      }
    }
    return offers
  }
}
