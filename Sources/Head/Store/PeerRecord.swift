internal import IorunCore

/// A peer that was admitted: a row of `peers`.
struct PeerRecord: Sendable, Hashable {
  let id: PeerID
  /// Its Curve25519 public key, 32 bytes.
  let publicKey: [UInt8]
  var role: Role
  var name: String
  /// The tenant that it belongs to; empty where it belongs to itself alone.
  var owner = ""
  /// What its ticket said of it.
  var labels: [String: String] = [:]
  /// Its membership certificate, as it was sent.
  var certificate: [UInt8]
  /// Seconds since 1970 (UTC).
  var admittedAt: Double
  /// Seconds since 1970 (UTC); `nil` while it is admitted.
  var revokedAt: Double?
}
