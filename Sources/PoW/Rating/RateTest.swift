internal import Foundation

/// Decides from the rates of several rounds whether a device is what it claims: Wald's sequential
/// probability ratio test (Annals of Mathematical Statistics 16, 1945) on x = ln(measured / expected),
/// with each round's evidence clipped. Clipping is what keeps a device whose one round was disturbed:
/// without it 3.7 % of the honest ones fail.
public struct RateTest: Hashable, Codable, Sendable {
  /// What the rounds say so far.
  public enum Decision: String, Hashable, Codable, Sendable {
    /// More rounds are needed.
    case undecided
    /// The device is as fast as it claims.
    case verified
    /// It is not.
    case failed
  }

  /// The figures of the test.
  public struct Rule: Hashable, Codable, Sendable {
    /// The ratio that an honest device has: its logarithm is the mean under H0.
    public var honestRatio = 0.97
    /// The ratio that must be caught: the mean under H1.
    public var cheatingRatio = 0.82
    /// The deviation of x within one round.
    public var deviation = 0.06
    /// The most that one round counts, as a logarithm.
    public var clip = 3.0
    /// The chance that an honest device fails (alpha).
    public var falseAlarm = 1e-4
    /// The chance that a cheating one passes (beta).
    public var miss = 1e-3
    /// Rounds an epoch. With six, 98.1 % of devices at 0.8 of their claim are caught and 1.5 % of the
    /// honest ones stay undecided; with seven 98.9 % and 0.7 %, for the same 3.3 rounds of a usual
    /// honest device (simulated with 200,000 devices each, as in `RatingTests`).
    public var maximumRounds = 7
    /// Above this ratio the claim is another model's.
    public var mismatchRatio = 1.15

    /// The figures of `pow/1`.
    public init() {}

    /// At or above it the device failed: ln((1 - beta) / alpha) = 9.21.
    public var failThreshold: Double { log((1 - miss) / falseAlarm) }
    /// At or below it the device is verified: ln(beta / (1 - alpha)) = -6.91.
    public var passThreshold: Double { log(miss / (1 - falseAlarm)) }

    /// The clipped evidence of one round: ln of how much likelier x is under H1 than under H0.
    public func evidence(_ x: Double) -> Double {
      let (honest, cheating) = (log(honestRatio), log(cheatingRatio))
      let ratio =
        ((x - honest) * (x - honest) - (x - cheating) * (x - cheating))
        / (2 * deviation * deviation)
      return max(-clip, min(clip, ratio))
    }
  }

  /// The figures.
  public let rule: Rule
  /// The sum of the evidence.
  public private(set) var evidence: Double
  /// Rounds of this epoch.
  public private(set) var rounds = 0
  /// The logarithms of this epoch's ratios.
  public private(set) var logarithms: [Double] = []
  /// What the rounds say so far; stays once it is decided.
  public private(set) var decision = Decision.undecided

  /// Begins a test, with what an undecided epoch left over: bounded, so that nobody saves up.
  public init(rule: Rule = Rule(), carried: Double = 0) {
    self.rule = rule
    evidence = carried.isFinite ? max(-rule.clip, min(rule.clip, carried)) : 0
  }

  /// Takes in a round. A rate that is no number or not above zero counts as the slowest; an
  /// expectation must be above zero.
  public mutating func add(measured: Double, expected: Double) {
    guard decision == .undecided, rounds < rule.maximumRounds, expected > 0 else { return }
    let ratio = measured / expected
    let x = ratio.isFinite && ratio > 0 ? log(ratio) : log(1e-9)
    logarithms.append(x)
    rounds += 1
    evidence += rule.evidence(x)
    if evidence >= rule.failThreshold {
      decision = .failed
    } else if evidence <= rule.passThreshold {
      decision = .verified
    }
  }

  /// True where the rounds of the epoch are used up.
  public var isOver: Bool { decision != .undecided || rounds == rule.maximumRounds }

  /// This epoch's ratios of measured and expected.
  public var ratios: [Double] { logarithms.map { exp($0) } }

  /// The median ratio of measured and expected; `nil` without rounds.
  public var medianRatio: Double? {
    guard !logarithms.isEmpty else { return nil }
    return exp(logarithms.sorted()[logarithms.count / 2])
  }

  /// True where the device is so much faster than its claim that it must be another model.
  public var isMismatch: Bool { (medianRatio ?? 0) > rule.mismatchRatio && rounds >= 3 }
}
