public import IorunCore

/// Whom a sandboxed program may speak to.
public enum EgressPolicy: Hashable, Sendable, Codable {
  /// Nobody: a network namespace with nothing in it.
  case none
  /// The members of its own lease, in these ranges.
  case gang(members: [IPPrefix])
  /// Everybody in the public internet, and nobody in private networks: not the host, its neighbours,
  /// link-local addresses or the metadata services of clouds; no mail. And its gang.
  case internet(members: [IPPrefix])

  /// What is never reached by way of ``internet(members:)``: the special-purpose ranges of RFC 6890
  /// that are not global, and those of IPv6 in which an IPv4 address is carried, which may be a
  /// private one (RFC 4291, 6052, 3056, 4380).
  public static let refused: [IPPrefix] = [
    "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
    "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15",
    "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
    "::/8", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/32", "2001:db8::/32", "2002::/16",
    "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
  ].compactMap { IPPrefix($0) }

  /// Ports of TCP at which a rented machine would send unwanted mail.
  public static let refusedPorts: [UInt16] = [25, 465, 587]

  /// Members of its gang.
  var members: [IPPrefix] {
    switch self {
    case .none: []
    case .gang(let members), .internet(let members): members
    }
  }

  /// Whether a new connection to `address` is let out.
  ///
  /// - Parameter host: the host's own addresses, the public ones as well.
  public func allows(_ address: IPAddress, host: [IPAddress] = []) -> Bool {
    if host.contains(address) { return false }
    if members.contains(where: { $0.contains(address) }) { return true }
    guard case .internet = self else { return false }
    return !Self.refused.contains { $0.contains(address) }
  }
}
