internal import IorunCore
internal import IorunCrypto

/// When the proofs of an hour begin: a start that nobody knows before, early enough that the window
/// ends within the hour.
public struct EpochSchedule: Sendable {
  /// Seconds of an epoch.
  public static let epochSeconds: Int64 = 3600
  /// The most seconds of an hour that proofs may take.
  public static let windowSeconds: Int64 = 900
  /// Seconds after the window's start until which a device that failed is run again.
  public static let rerunSeconds: Int64 = 600

  private let secret: [UInt8]

  /// Takes the verifier's secret.
  public init(secret: [UInt8]) { self.secret = secret }

  /// The epoch of a time in seconds since 1970 (UTC).
  public static func epoch(atSeconds now: Int64) -> Int64 {
    now >= 0 ? now / epochSeconds : (now - epochSeconds + 1) / epochSeconds
  }

  /// Seconds since 1970 (UTC) at which the epoch's window begins. Throws `internalFault` where
  /// OpenSSL fails.
  public func windowStart(of epoch: Int64) throws -> Int64 {
    let code = try HMACSHA256.code(
      of: Array("iorun/\(Challenge.version)|window|\(epoch)".utf8), key: secret)
    let halves = Words.words(code.prefix(8))
    let room = UInt64(Self.epochSeconds - Self.windowSeconds + 1)
    return epoch * Self.epochSeconds + Int64(Chain.place(halves[0], halves[1], of: room))
  }
}
