internal import IorunCore

/// Says what a caller may do, by the role with which it was admitted.
struct Authoriser: Sendable {
  /// What needs a role.
  enum Action: Sendable {
    case submit, seeJobs, seeNetwork, moveContent, offerNode, plan, issueTickets
  }

  let peers: PeerDirectory

  /// The caller's role. Throws `keyNotAdmitted` for a stranger (a ticket is one, too) and
  /// `notAllowed` where the role does not allow `action`.
  @discardableResult
  func check(_ caller: PeerID, may action: Action) throws -> Role {
    guard let role = peers.role(of: caller) else {
      throw IorunError(
        .keyNotAdmitted, "peer \(caller.short) is not admitted to this network",
        remedy: "Join it with a ticket: iorun join TICKET")
    }
    guard Self.allowed(action).contains(role) else {
      throw IorunError(
        .notAllowed, "the role '\(role.rawValue)' must not \(Self.phrase(action))",
        remedy: "Ask an operator for a ticket with another role")
    }
    return role
  }

  private static func allowed(_ action: Action) -> Set<Role> {
    switch action {
    case .submit, .plan, .seeJobs: [.operator, .buyer]
    case .seeNetwork, .moveContent: [.operator, .buyer, .supplier]
    case .offerNode: [.operator, .supplier]
    case .issueTickets: [.operator]
    }
  }

  private static func phrase(_ action: Action) -> String {
    switch action {
    case .submit: "submit jobs"
    case .plan: "plan jobs"
    case .seeJobs: "see jobs"
    case .seeNetwork: "see the network"
    case .moveContent: "read or write content"
    case .offerNode: "offer a node"
    case .issueTickets: "manage tickets"
    }
  }
}
