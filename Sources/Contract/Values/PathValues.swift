public import IorunCore
public import IorunPath

/// A relay as the head tells nodes and clients of it.
public struct RelayOffer: Hashable, Sendable, Codable {
  /// Its peer id; the head's for the head's own.
  public var id: PeerID
  /// Where it is and how to ask it. Without addresses it is where the head is, as whoever reads this
  /// knows the head, at ``port``.
  public var target: ReflectorTarget
  /// The UDP port.
  public var port: UInt16

  /// Describes a relay.
  public init(id: PeerID, target: ReflectorTarget, port: UInt16) {
    self.id = id
    self.target = target
    self.port = port
  }
}

/// What a relay says of itself, every few seconds.
public struct RelayRegistration: Hashable, Sendable, Codable {
  /// Its name for people.
  public var name: String
  /// Its UDP addresses, with the port.
  public var addresses: [SocketAddress]
  /// The TCP port of framed datagrams at the same addresses; 0: none.
  public var streamPort: UInt16
  /// What it shares with the head: 32 bytes, drawn when it started.
  public var secret: [UInt8]
  /// The bytes of each slot since it last said so.
  public var bytes: [UInt32: UInt64]

  /// Describes a relay.
  public init(
    name: String, addresses: [SocketAddress], streamPort: UInt16, secret: [UInt8],
    bytes: [UInt32: UInt64]
  ) {
    self.name = name
    self.addresses = addresses
    self.streamPort = streamPort
    self.secret = secret
    self.bytes = bytes
  }
}

/// One end of a pair that looks for a path.
public struct PathEnd: Hashable, Sendable, Codable {
  /// The key to which disco messages are sealed: 32 bytes.
  public var key: [UInt8]
  /// What stands before it.
  public var natClass: NATClass
  /// Where it may be.
  public var candidates: [Candidate]

  /// Describes an end.
  public init(key: [UInt8], natClass: NATClass, candidates: [Candidate]) {
    self.key = key
    self.natClass = natClass
    self.candidates = candidates
  }

  /// Refuses what no peer says. Throws `malformed`.
  public func check() throws(IorunError) {
    guard key.count == 32, candidates.count <= Candidate.limit else {
      throw IorunError(.malformed, "an end of a path has a key of 32 bytes and few candidates")
    }
  }
}

/// What the head tells one end of the other.
public struct PathOffer: Hashable, Sendable, Codable {
  /// The other peer.
  public var peer: PeerID
  /// Its name for people.
  public var name: String
  /// Its end.
  public var end: PathEnd
  /// The relay between the two; `nil`: there is none. Addresses as in ``RelayOffer/target``.
  public var relay: RelayPass?
  /// The relay's ports, for ends that must complete its addresses.
  public var relayPort: UInt16
  /// The relay's TCP port, for ends whose UDP is blocked; 0: none.
  public var relayStreamPort: UInt16
  /// True at the end that calls.
  public var isCaller: Bool

  /// Describes an offer.
  public init(
    peer: PeerID, name: String, end: PathEnd, relay: RelayPass?, relayPort: UInt16,
    relayStreamPort: UInt16, isCaller: Bool
  ) {
    self.peer = peer
    self.name = name
    self.end = end
    self.relay = relay
    self.relayPort = relayPort
    self.relayStreamPort = relayStreamPort
    self.isCaller = isCaller
  }
}

/// The way to one peer, as a node sees it.
public struct PathSummary: Hashable, Sendable, Codable {
  /// The peer.
  public var peer: PeerID
  /// What it is for: `ping`, `session`, or the gang whose tunnel it carries.
  public var purpose: String
  /// True for a direct way, false for a relay, `nil` for none.
  public var isDirect: Bool?
  /// Its round trip in milliseconds, once measured.
  public var roundTripMilliseconds: Double?
  /// The address in use.
  public var address: String?

  /// The most that a node tells.
  public static let limit = 256

  /// Describes a way.
  public init(
    peer: PeerID, purpose: String, isDirect: Bool?, roundTripMilliseconds: Double?,
    address: String?
  ) {
    self.peer = peer
    self.purpose = purpose
    self.isDirect = isDirect
    self.roundTripMilliseconds = roundTripMilliseconds
    self.address = address
  }
}

/// Where a node takes links of other nodes.
public struct LinkEnd: Hashable, Sendable, Codable {
  /// Its Curve25519 public key, of which its peer id is the hash.
  public var key: [UInt8]
  /// Its TCP addresses, the likeliest first.
  public var addresses: [SocketAddress]

  /// The most addresses that a node names.
  public static let addressLimit = 8

  /// Describes an end.
  public init(key: [UInt8], addresses: [SocketAddress]) {
    self.key = key
    self.addresses = addresses
  }
}

/// A node with which another has business: both may link to each other.
public struct LinkOffer: Hashable, Sendable, Codable {
  /// The other node.
  public var peer: PeerID
  /// Where it takes links.
  public var end: LinkEnd
  /// True at the end that dials first.
  public var dials: Bool
  /// How a path of datagrams is found to it, where one of the two has asked for one.
  public var path: PathOffer?

  /// The most links of a node.
  public static let limit = 256

  /// Describes an offer.
  public init(peer: PeerID, end: LinkEnd, dials: Bool, path: PathOffer? = nil) {
    self.peer = peer
    self.end = end
    self.dials = dials
    self.path = path
  }
}

/// What a node says of its place on the internet, every few seconds.
public struct PathReport: Hashable, Sendable, Codable {
  /// Its own end.
  public var end: PathEnd
  /// Its round trips to relays, in milliseconds, by the relay's peer id.
  public var relayRoundTripsMilliseconds: [String: Double]
  /// The ways that it has.
  public var paths: [PathSummary]
  /// Where it takes links; `nil`: nowhere.
  public var link: LinkEnd?
  /// The nodes to which it has no way by TCP and wants a path of datagrams.
  public var seeks: [PeerID]?

  /// Describes a report.
  public init(
    end: PathEnd, relayRoundTripsMilliseconds: [String: Double], paths: [PathSummary],
    link: LinkEnd? = nil, seeks: [PeerID]? = nil
  ) {
    self.link = link
    self.seeks = seeks
    self.end = end
    self.relayRoundTripsMilliseconds = relayRoundTripsMilliseconds
    self.paths = paths
  }
}

/// The relay's pass from one node of a gang to another.
public struct GangPass: Hashable, Sendable, Codable {
  /// The other node's number in the gang.
  public var node: Int
  /// The other node.
  public var peer: PeerID
  /// The pass; addresses as in ``RelayOffer/target``.
  public var pass: RelayPass
  /// The relay's ports.
  public var relayPort: UInt16, relayStreamPort: UInt16

  /// Describes a pass.
  public init(
    node: Int, peer: PeerID, pass: RelayPass, relayPort: UInt16, relayStreamPort: UInt16
  ) {
    self.node = node
    self.peer = peer
    self.pass = pass
    self.relayPort = relayPort
    self.relayStreamPort = relayStreamPort
  }
}

/// A node's place on the internet and its ways, for people.
public struct NodePaths: Hashable, Sendable, Codable {
  /// The node.
  public var node: PeerID
  /// What stands before it.
  public var natClass: NATClass
  /// Its ways.
  public var paths: [PathSummary]

  /// Describes them.
  public init(node: PeerID, natClass: NATClass, paths: [PathSummary]) {
    self.node = node
    self.natClass = natClass
    self.paths = paths
  }
}
