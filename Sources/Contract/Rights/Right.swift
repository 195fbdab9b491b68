public import IorunCore

/// What a caller must be allowed to do for a distributed method to run. Checked at the receiving actor,
/// with the caller that CURVE and ZAP proved.
public enum Right: String, CaseIterable, Sendable, Hashable {
  /// Submit jobs.
  case submit
  /// See and end jobs: one's own, or one's tenant's.
  case seeJobs
  /// Ask where a job would run.
  case plan
  /// See nodes and the network at a glance.
  case seeNetwork
  /// Read and write chunks, which are known by their digest.
  case moveContent
  /// Offer a node, and speak for it and for nothing else.
  case offerNode
  /// Reach a node on which one has a rank, or with which one's node shares a gang.
  case reachOwnNodes
  /// Serve a gang of which one's node has a rank.
  case serveOwnGang
  /// Manage tickets, peers, the authority's keys, and nodes.
  case manageNetwork
  /// Renew one's own certificate and hear whom to believe.
  case beMember
  /// Join: a ticket's right, and no peer's.
  case join
  /// Give a node orders: its head's right alone.
  case orderNode
  /// Bring a node what processes of other nodes send: other nodes' right, as the head named them.
  case serveNodes
  /// Ask for one's gang: a running rank's right, at its own node.
  case beRank
  /// Reach into a rank: whoever the head let in, and over streams whose other end it is.
  case reachRank

  /// The roles that have it at the head. Empty for rights that do not come with a role.
  public var roles: Set<Role> {
    switch self {
    case .submit, .plan, .seeJobs: [.operator, .buyer]
    case .seeNetwork, .moveContent, .beMember, .reachOwnNodes: [.operator, .buyer, .supplier]
    case .offerNode, .serveOwnGang: [.operator, .supplier]
    case .manageNetwork: [.operator]
    case .join, .orderNode, .serveNodes, .beRank, .reachRank: []
    }
  }

  /// True where a caller reaches only what belongs to itself or its tenant; an operator reaches all.
  public var isForOwnOnly: Bool {
    self == .seeJobs || self == .reachOwnNodes || self == .serveOwnGang
  }

  /// The same for people, after "must not".
  public var phrase: String {
    switch self {
    case .submit: "submit jobs"
    case .seeJobs: "see jobs"
    case .plan: "plan jobs"
    case .seeNetwork: "see the network"
    case .moveContent: "read or write content"
    case .offerNode: "offer a node"
    case .reachOwnNodes: "reach nodes"
    case .serveOwnGang: "serve gangs"
    case .manageNetwork: "manage the network"
    case .beMember: "have a certificate"
    case .join: "join"
    case .orderNode: "give a node orders"
    case .serveNodes: "serve nodes"
    case .beRank: "ask for a gang"
    case .reachRank: "reach into ranks"
    }
  }
}
