/// What is kept for the first gang that does not fit: EASY backfill (Lifka, JSSPP 1995).
///
/// The shadow time is when enough will have become free. Others may start now where they end before
/// it, or where the gang does not need what they take (the spare part).
public struct Reservation: Sendable, Hashable {
  /// When running leases are expected to be over.
  public struct Release: Sendable, Hashable {
    /// Expected end.
    public var atSeconds: Double
    /// What becomes free then.
    public var demand: QueueDemand

    /// Describes an expected end.
    public init(atSeconds: Double, demand: QueueDemand) {
      self.atSeconds = atSeconds
      self.demand = demand
    }
  }

  /// When the gang can start; infinite where no expected end is enough.
  public private(set) var shadowSeconds: Double
  /// What is left beside the gang at the shadow time.
  private var spare: SIMD4<Double>
  private var free: SIMD4<Double>

  /// Reserves for a gang that does not fit into what is free.
  ///
  /// - Parameter releases: in any order; ends that are not a number count as never.
  public init(for demand: QueueDemand, free: QueueDemand, releases: [Release]) {
    self.free = free.amounts
    var room = free.amounts
    shadowSeconds = .infinity
    spare = .zero
    for release in releases.filter({ $0.atSeconds.isFinite })
      .sorted(by: { $0.atSeconds < $1.atSeconds })
    {
      room += release.demand.amounts
      if demand.fits(in: room) {
        shadowSeconds = release.atSeconds
        spare = room - demand.amounts
        break
      }
    }
  }

  /// True where a gang may start now without making the reserved one later; it is then counted.
  ///
  /// - Parameter end: when it will have ended; infinite where nobody can say.
  public mutating func admit(_ demand: QueueDemand, endsBySeconds end: Double) -> Bool {
    guard demand.fits(in: free) else { return false }
    if !(end <= shadowSeconds && shadowSeconds.isFinite) {
      guard demand.fits(in: spare) else { return false }
      spare -= demand.amounts
    }
    free -= demand.amounts
    return true
  }
}
