public import IorunCore

/// What a verifier found of one proof, with its numbers.
public struct Verdict: Hashable, Codable, Sendable {
  /// The device.
  public var device: DeviceID
  /// The epoch.
  public var epoch: Int64
  /// The round.
  public var round: Int
  /// The kind of work.
  public var kind: PuzzleKind
  /// Why it was refused; `nil` where it was accepted.
  public var refusal: Refusal?
  /// Hashes, steps or multiplications that the proof shows; 0 where it was refused.
  public var work: Double
  /// From the challenge's opening to the arrival of the answer or commitment, by the verifier's
  /// clock.
  public var seconds: Double
  /// What was handed in: the digest that the device sealed.
  public var answer: Digest

  /// Describes a verdict.
  public init(
    device: DeviceID, epoch: Int64, round: Int, kind: PuzzleKind, refusal: Refusal?, work: Double,
    seconds: Double, answer: Digest
  ) {
    self.device = device
    self.epoch = epoch
    self.round = round
    self.kind = kind
    self.refusal = refusal
    self.work = work
    self.seconds = seconds
    self.answer = answer
  }

  /// True where the proof was accepted.
  public var isAccepted: Bool { refusal == nil }
  /// Work a second; 0 where nothing was accepted.
  public var rate: Double { seconds > 0 ? work / seconds : 0 }

  private enum CodingKeys: String, CodingKey {
    case device, epoch, round, kind, refusal, work, seconds, answer
  }
}

extension PuzzleKind {
  /// What the rate of a verdict counts.
  public var unit: String {
    switch self {
    case .hash: "hashes/s"
    case .lane, .memory, .gpuMemory: "steps/s"
    case .product: "multiplications/s"
    }
  }
}
