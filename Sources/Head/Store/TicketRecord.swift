internal import IorunContract
internal import IorunCore

/// A ticket: a row of `tickets`. Its secret is never kept.
struct TicketRecord: Sendable, Hashable {
  /// What people call it.
  let id: String
  /// The peer as which its holder calls, derived from `publicKey`.
  let peer: PeerID
  /// The key that its holder proves, 32 bytes.
  let publicKey: [UInt8]
  let role: Role
  /// The tenant whose peers its users become.
  var owner = ""
  /// What it says of its users.
  var labels: [String: String] = [:]
  var usesLeft: Int
  /// Seconds since 1970 (UTC).
  let createdAt: Double
  /// Seconds since 1970 (UTC).
  let expiresAt: Double
  var isRevoked: Bool
  let label: String

  /// The same in the operator's words.
  var status: TicketStatus {
    TicketStatus(
      id: id, role: role, owner: owner, labels: labels, usesLeft: usesLeft, expiresAt: expiresAt,
      isRevoked: isRevoked, label: label)
  }
}
