internal import IorunCore
internal import IorunCrypto

/// One entry of the log: what a device was, what it is now, why, and the numbers. Marks shown to
/// people come from these and from nothing else.
public struct Transition: Hashable, Codable, Sendable {
  /// Why.
  public enum Reason: Hashable, Codable, Sendable {
    /// The rates of the rounds decided.
    case rates
    /// They did, and are those of a better model than the claimed one.
    case mismatch
    /// The rates of the rounds are not those of the claim.
    case slow
    /// The rounds are over and decide nothing.
    case undecided
    /// A proof was refused.
    case refused(Refusal)
    /// No answer came in time.
    case unanswered
    /// It has not the memory that it states.
    case noMemory
    /// The verifier could not judge; the device is not marked for it.
    case verifierFailed
    /// The device was gone in the middle of a round, and is not marked for it.
    case interrupted
    /// The mark was good until an epoch that is over.
    case expired
    /// A hired device failed two lane checks in a row.
    case lanesFailed
    /// The device claims something else than what was proved.
    case claimChanged
    /// It failed once, for that reason, and is run again.
    case rerun(after: String)

    /// A short name, which never changes its meaning.
    public var name: String {
      switch self {
      case .rates: "rates"
      case .mismatch: "mismatch"
      case .slow: "slow"
      case .undecided: "undecided"
      case .refused(let refusal): "refused:\(refusal.rawValue)"
      case .unanswered: "unanswered"
      case .noMemory: "no_memory"
      case .verifierFailed: "verifier_failed"
      case .interrupted: "interrupted"
      case .expired: "expired"
      case .lanesFailed: "lanes_failed"
      case .claimChanged: "claim_changed"
      case .rerun(let reason): "rerun:\(reason)"
      }
    }
  }

  /// The device.
  public let device: DeviceID
  /// The epoch.
  public let epoch: Int64
  /// What it was.
  public let from: DeviceState.Status
  /// What it is.
  public let to: DeviceState.Status
  /// Why.
  public let reason: Reason
  /// The rounds that led there, of each kind of work.
  public let rating: DeviceRating

  /// Describes a transition.
  public init(
    device: DeviceID, epoch: Int64, from: DeviceState.Status, to: DeviceState.Status,
    reason: Reason, rating: DeviceRating
  ) {
    self.device = device
    self.epoch = epoch
    self.from = from
    self.to = to
    self.reason = reason
    self.rating = rating
  }

  /// The entry as a leaf of the hour's tree: fields between bars, numbers with six decimals. The last
  /// field has, for each kind of work, its evidence and the logarithms of its ratios.
  public var text: String {
    let capabilities = rating.capabilities.map { capability in
      let ratios = capability.test.logarithms.map(Self.decimal).joined(separator: ",")
      return "\(capability.kind.rawValue):\(Self.decimal(capability.test.evidence)):\(ratios)"
    }
    return [
      "iorun/\(Challenge.version)", "transition", device.description, "\(epoch)", Self.name(from),
      Self.name(to), reason.name, capabilities.joined(separator: ";"),
    ].joined(separator: "|")
  }

  static func name(_ status: DeviceState.Status) -> String {
    switch status {
    case .pending: "pending"
    case .verified(let last): "verified:\(last)"
    case .failed: "failed"
    }
  }

  /// Six decimals, without a locale.
  private static func decimal(_ number: Double) -> String {
    let millionths = Int64((max(-1e6, min(1e6, number)) * 1e6).rounded())
    let digits = "\(millionths.magnitude % 1_000_000)"
    let zeros = String(repeating: "0", count: 6 - digits.count)
    return "\(millionths < 0 ? "-" : "")\(millionths.magnitude / 1_000_000).\(zeros)\(digits)"
  }
}
