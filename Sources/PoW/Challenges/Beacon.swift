public import IorunCore
internal import IorunCrypto

/// What makes challenges unforeseeable: each verifier commits to a secret before the epoch and
/// reveals it at the window's start. Nobody can compute ahead, and the last to reveal cannot choose.
public struct Beacon: Hashable, Codable, Sendable {
  /// The epoch it is for.
  public let epoch: Int64
  /// What is revealed: 32 random bytes.
  public let secret: Digest

  /// Takes a secret.
  public init(epoch: Int64, secret: Digest) {
    self.epoch = epoch
    self.secret = secret
  }

  /// What is published before the epoch.
  public var commitment: Digest {
    SHA256.digest(of: Array("iorun/\(Challenge.version)|beacon|\(epoch)|\(secret)".utf8))
  }

  /// The beacon of an epoch, from the secrets of all verifiers whose commitment was published before.
  /// Throws `malformed` where one is not what was committed to, or none is there: one honest secret
  /// is enough, a missing one must be noticed.
  public static func combined(_ beacons: [Beacon], commitments: Set<Digest>) throws -> Digest {
    let revealed = Set(beacons.map(\.commitment))
    guard let epoch = beacons.first?.epoch, revealed == commitments,
      beacons.allSatisfy({ $0.epoch == epoch })
    else {
      throw IorunError(
        .malformed, "the revealed beacons are not those that were committed to",
        remedy: "Leave this epoch's proofs out, and find out which verifier changed its beacon")
    }
    let secrets = beacons.map(\.secret.description).sorted().joined(separator: "|")
    return SHA256.digest(of: Array("iorun/\(Challenge.version)|beacons|\(epoch)|\(secrets)".utf8))
  }
}
