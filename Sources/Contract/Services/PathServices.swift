public import IorunCore

// What the head, nodes, relays and clients do for each other so that two of them find the shortest
// way. `caller` is the peer that CURVE and ZAP proved.

/// Where peers find each other. Served by the head.
public protocol RendezvousService: Sendable {
  /// The relays, which are reflectors as well. For every member.
  func relays(caller: PeerID) async throws -> [RelayOffer]
  /// A relay is here (again).
  func offerRelay(_ registration: RelayRegistration, caller: PeerID) async throws
  /// A node says where it is, and hears with which nodes it has business.
  func report(_ report: PathReport, caller: PeerID) async throws -> [LinkOffer]
  /// Brings the caller together with a node that it may reach, and tells the node of it.
  /// `relayRoundTripsMilliseconds` are the caller's, as in `PathReport`.
  func meet(
    _ node: PeerID, _ end: PathEnd, relayRoundTripsMilliseconds: [String: Double], caller: PeerID
  ) async throws -> PathOffer
  /// How long a word to a node and back takes, in milliseconds, as the head sees it.
  func echo(_ node: PeerID, caller: PeerID) async throws -> Double
  /// The caller's passes to the other nodes of a gang of which it is one.
  func gangPasses(_ job: JobID, attempt: Int, caller: PeerID) async throws -> [GangPass]
  /// Where nodes are, and which ways they have.
  func paths(caller: PeerID) async throws -> [NodePaths]
}

/// One node's search for paths. Served by the node to its head.
public protocol PathDeskService: Sendable {
  /// Somebody who may reach this node wants a path to it, for a while.
  func meet(_ offer: PathOffer, caller: PeerID) async throws
  /// Answers at once.
  func echo(caller: PeerID) async throws
}
