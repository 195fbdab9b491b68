internal import IorunCore

/// Whose job it is, as far as it matters where it may run.
struct JobOwner: Hashable, Sendable {
  /// The tenant's name, or the peer's id where it has none.
  var tenant: String
  /// True where it is the network's own: whoever runs the network let its nodes in.
  var isOperator = false

  /// True where a node is not the owner's.
  func isStranger(to node: NodeStanding) -> Bool { !isOperator && node.supplier != tenant }
}

extension Authoriser {
  /// Whose jobs a peer's are.
  func owner(_ peer: PeerID) -> JobOwner {
    JobOwner(tenant: peers.tenantName(of: peer), isOperator: peers.role(of: peer) == .operator)
  }
}

extension NodeFacts {
  /// True where strangers' work may run there: in a sandbox, or because its owner wants it so.
  /// A sandbox that leaves them all of the machine's memory or processes is none.
  var takesStrangers: Bool {
    (sandbox != nil && isolation?.isUnbounded != true) || runsStrangersBare == true
  }
}
