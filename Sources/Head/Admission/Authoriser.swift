internal import IorunContract
internal import IorunCore

/// Says what a caller may do, by the role with which it was admitted and the tenant that it is of. What
/// a method takes is in ``MethodRights``.
struct Authoriser: Sendable {
  let peers: PeerDirectory

  /// The caller's role. Throws `keyNotAdmitted` for a stranger (a ticket is one, too) and
  /// `notAllowed` where the role does not allow it.
  @discardableResult
  func check(_ caller: PeerID, may right: Right) throws -> Role {
    guard let role = peers.role(of: caller) else {
      throw IorunError(
        .keyNotAdmitted, "peer \(caller.short) is not admitted to this network",
        remedy: "Join it with a ticket: iorun join TICKET")
    }
    guard right.roles.contains(role) else {
      throw IorunError(
        .notAllowed, "the role '\(role.rawValue)' must not \(right.phrase)",
        remedy: "Ask an operator for a ticket with another role")
    }
    return role
  }

  /// True where `caller` may see what belongs to `owner`: its own, its tenant's, or all as an operator.
  func mayReach(_ owner: PeerID, _ caller: PeerID) -> Bool {
    peers.role(of: caller) == .operator || owner == caller || peers.areOfOneTenant(owner, caller)
  }
}
