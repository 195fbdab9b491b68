internal import IorunCore
internal import IorunCrypto

/// What the head says of a peer, signed: other peers can check it without asking the head.
///
/// The signed bytes are lines of text in a fixed order, so that the same certificate always has the
/// same bytes; the Ed25519 signature follows them.
struct MembershipCertificate: Hashable, Sendable {
  /// The network's name.
  var network: String
  var peer: PeerID
  var role: Role
  /// The peer's name for people.
  var name: String
  /// Seconds since 1970 (UTC).
  var notBefore: Int64
  /// Seconds since 1970 (UTC).
  var notAfter: Int64

  private static let title = "iorun certificate 1"

  /// The bytes that are signed.
  var body: [UInt8] {
    let lines = [
      Self.title, "network \(network)", "peer \(peer)", "role \(role.rawValue)", "name \(name)",
      "not-before \(notBefore)", "not-after \(notAfter)", "",
    ]
    return Array(lines.joined(separator: "\n").utf8)
  }

  /// Reads a certificate and checks its signature. Throws `identityUnusable`.
  static func read(_ bytes: [UInt8], signedBy key: VerifyingKey) throws -> MembershipCertificate {
    let body = Array(bytes.dropLast(SigningKey.signatureByteCount))
    let signature = Array(bytes.suffix(SigningKey.signatureByteCount))
    let lines = String(decoding: body, as: UTF8.self).split(separator: "\n")
    guard key.isValid(signature: signature, for: body), lines.count == 7, lines[0] == title,
      let network = value("network", lines[1]), let peerText = value("peer", lines[2]),
      let peer = PeerID(peerText), let role = value("role", lines[3]).flatMap(Role.init(rawValue:)),
      let name = value("name", lines[4]), let start = value("not-before", lines[5]),
      let notBefore = Int64(start), let end = value("not-after", lines[6]),
      let notAfter = Int64(end)
    else {
      throw IorunError(
        .identityUnusable, "the certificate was not signed by this network's head",
        remedy: "Join again with a new ticket")
    }
    return MembershipCertificate(
      network: network, peer: peer, role: role, name: name, notBefore: notBefore,
      notAfter: notAfter)
  }

  private static func value(_ field: String, _ line: Substring) -> String? {
    line.hasPrefix(field + " ") ? String(line.dropFirst(field.count + 1)) : nil
  }
}
