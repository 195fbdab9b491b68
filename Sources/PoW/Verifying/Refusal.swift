/// Why a proof, or a commitment, is not accepted. Never a fault of the verifier: those are thrown.
public enum Refusal: String, Error, Hashable, Codable, Sendable, CaseIterable {
  /// This verifier did not issue the challenge, or a field of it was changed.
  case challengeNotIssued = "challenge_not_issued"
  /// Another device than the challenged one handed it in.
  case wrongDevice = "wrong_device"
  /// It is for another epoch than the present one or the one before.
  case wrongEpoch = "wrong_epoch"
  /// It came before its challenge was open.
  case early
  /// It came after the deadline.
  case late
  /// An answer to this challenge was handed in before.
  case replayed
  /// The device did not seal it.
  case notSealed = "not_sealed"
  /// It is sealed by a session that this verifier does not keep, or not any more.
  case sessionUnknown = "session_unknown"
  /// Another number of nonces, roots, pieces or digests than the puzzle has, or another kind.
  case wrongShape = "wrong_shape"
  /// The digests of a sketch do not ascend.
  case unordered
  /// The nonce of the openings is not the one that this verifier gave for these roots.
  case wrongOpening = "wrong_opening"
  /// An opened piece is not what the work gives.
  case wrongWork = "wrong_work"
  /// More work than such a device can do in the time, by far.
  case impossible

  /// What it means, in a sentence without a full stop.
  public var explanation: String {
    switch self {
    case .challengeNotIssued: "this verifier did not issue the challenge as it is"
    case .wrongDevice: "another device than the challenged one handed it in"
    case .wrongEpoch: "it belongs to another epoch"
    case .early: "it came before its challenge was open"
    case .late: "it came after the deadline"
    case .replayed: "another answer to this challenge was handed in before"
    case .notSealed: "the challenged device did not sign it"
    case .sessionUnknown: "its session is over, or the verifier has forgotten it: sign the answer"
    case .wrongShape: "it has not the parts that the puzzle asks for"
    case .unordered: "the digests of its nonces do not ascend"
    case .wrongOpening: "it opens pieces that were not asked for"
    case .wrongWork: "an opened piece is not what the work gives"
    case .impossible: "it shows more work than such a device can do in the time"
    }
  }

  /// True where no honest device could have caused it: a wrong piece, or another's answer. Being
  /// late is no such thing.
  public var isDishonest: Bool {
    switch self {
    case .early, .late, .wrongEpoch, .replayed, .challengeNotIssued, .sessionUnknown: false
    default: true
    }
  }

  /// True where it shows that the challenged device itself answered. Anybody could have caused the
  /// others, or the verifier has: they must not use up the device's only try.
  public var isByDevice: Bool {
    switch self {
    case .challengeNotIssued, .wrongDevice, .notSealed, .sessionUnknown, .wrongEpoch, .early,
      .replayed:
      false
    case .late, .wrongShape, .unordered, .wrongOpening, .wrongWork, .impossible: true
    }
  }
}
