/// Finds claims of places that measured round trips contradict: no word travels faster than light in
/// glass fibre, so a round trip that is shorter than the distance allows makes one of both claims a lie.
///
/// Which of the two lies is decided by count: whoever stands against the most others goes first, until
/// nothing is left to explain (a greedy cover of the contradictions). An anchor, whose place is known,
/// does not lie. A device is called false only where an anchor or at least two suppliers other than
/// its own speak against it, since one who measures can lie, too; all others that a contradiction
/// touches are doubtful. Neither's claim is to be used.
public struct LocationCheck: Sendable {
  /// Two claims that cannot both be true.
  public struct Contradiction: Sendable, Hashable {
    /// The device whose claim is doubted, and the one that it was measured against.
    public var device: Int
    /// The other device.
    public var witness: Int
    /// The shortest round trip that was measured between them.
    public var measuredMilliseconds: Float
    /// How far apart they claim to be.
    public var claimedKilometres: Float
    /// What light in fibre takes for that, there and back.
    public var leastMilliseconds: Float
  }

  /// What to think of a claim.
  public enum Verdict: Sendable, Hashable {
    /// The claim is false: the evidence, the strongest first.
    case isFalse([Contradiction])
    /// It or the other's is.
    case isDoubtful([Contradiction])
  }

  private struct Claim: Sendable {
    var point: GeoPoint
    var supplier: UInt32
    var isAnchor: Bool
  }

  private var claims: [Int: Claim] = [:]
  /// By device and witness, both ways.
  private var contradictions: [Int: [Int: Contradiction]] = [:]

  /// The most contradictions that are kept for a device.
  private static let most = 64

  /// A check without claims.
  public init() {}

  /// A device claims a place, or no more. What was measured of an earlier claim is forgotten.
  ///
  /// - Parameters:
  ///   - supplier: whose device it is: suppliers do not testify for or against themselves.
  ///   - isAnchor: its place is known from elsewhere.
  public mutating func claim(
    _ device: Int, _ point: GeoPoint?, supplier: UInt32, isAnchor: Bool = false
  ) {
    for witness in (contradictions.removeValue(forKey: device) ?? [:]).keys {
      contradictions[witness]?[device] = nil
    }
    claims[device] = point.map { Claim(point: $0, supplier: supplier, isAnchor: isAnchor) }
  }

  /// A round trip was measured. What is not a positive number is ignored.
  ///
  /// - Returns: true where it contradicts the claims of both.
  @discardableResult
  public mutating func measured(_ one: Int, _ other: Int, milliseconds: Float) -> Bool {
    guard one != other, milliseconds.isFinite, milliseconds > 0, let here = claims[one],
      let there = claims[other], !(here.isAnchor && there.isAnchor)
    else { return false }
    let least = here.point.leastRoundTripMilliseconds(to: there.point)
    guard milliseconds < least else { return false }
    let kilometres = here.point.kilometres(to: there.point)
    for (device, witness) in [(one, other), (other, one)] {
      let known = contradictions[device]?[witness]
      guard known != nil || contradictions[device, default: [:]].count < Self.most else { continue }
      contradictions[device, default: [:]][witness] = Contradiction(
        device: device, witness: witness,
        measuredMilliseconds: min(milliseconds, known?.measuredMilliseconds ?? .infinity),
        claimedKilometres: kilometres, leastMilliseconds: least)
    }
    return true
  }

  /// The claims that are not to be used, and why.
  public var verdicts: [Int: Verdict] {
    var open = contradictions.filter { !$0.value.isEmpty && claims[$0.key]?.isAnchor != true }
    var verdicts: [Int: Verdict] = [:]
    while true {
      // Among equals the one that more suppliers speak against, then the lower number.
      let worst = open.max { left, right in
        let (less, more) = (weight(left.value), weight(right.value))
        return less == more ? left.key > right.key : less < more
      }
      guard let (device, evidence) = worst, isConclusive(device, evidence) else { break }
      verdicts[device] = .isFalse(Self.sorted(evidence))
      open[device] = nil
      for witness in evidence.keys { open[witness]?[device] = nil }
      open = open.filter { !$0.value.isEmpty }
    }
    for (device, evidence) in open { verdicts[device] = .isDoubtful(Self.sorted(evidence)) }
    return verdicts
  }

  /// How many suppliers speak against a device, and how many devices.
  private func weight(_ evidence: [Int: Contradiction]) -> SIMD2<Int> {
    SIMD2(Set(evidence.keys.compactMap { claims[$0]?.supplier }).count, evidence.count)
  }

  private func isConclusive(_ device: Int, _ evidence: [Int: Contradiction]) -> Bool {
    if evidence.keys.contains(where: { claims[$0]?.isAnchor == true }) { return true }
    var suppliers = Set(evidence.keys.compactMap { claims[$0]?.supplier })
    if let own = claims[device]?.supplier { suppliers.remove(own) }
    return suppliers.count >= 2
  }

  private static func sorted(_ evidence: [Int: Contradiction]) -> [Contradiction] {
    evidence.values.sorted { left, right in
      let (strong, weak) = (left.excess, right.excess)
      return strong == weak ? left.witness < right.witness : strong > weak
    }
  }
}

extension LocationCheck.Contradiction {
  fileprivate var excess: Float { leastMilliseconds - measuredMilliseconds }
}

extension SIMD2<Int> {
  fileprivate static func < (left: Self, right: Self) -> Bool {
    (left.x, left.y) < (right.x, right.y)
  }
}
