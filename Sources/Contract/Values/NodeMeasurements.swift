public import IorunCore

/// What a node has measured since it told last.
public struct NodeMeasurements: Hashable, Codable, Sendable {
  /// Round trips to one peer.
  public struct Peer: Hashable, Codable, Sendable {
    /// The other end.
    public var peer: PeerID
    /// Each probe's round trip in milliseconds; `nil` for a lost one.
    public var milliseconds: [Double?]
    /// The round trip to the peer's host without a way round by the head, as its kernel answers; `nil`
    /// where none was asked for or came. Nothing proves who answered.
    public var hostMilliseconds: Double?
    /// How fast bytes went there, in millions of bits a second; `nil` where that was not tried.
    public var megabitsPerSecond: Double?

    /// Describes measurements.
    public init(
      peer: PeerID, milliseconds: [Double?], hostMilliseconds: Double? = nil,
      megabitsPerSecond: Double? = nil
    ) {
      self.hostMilliseconds = hostMilliseconds
      self.peer = peer
      self.milliseconds = milliseconds
      self.megabitsPerSecond = megabitsPerSecond
    }
  }

  /// Where the node finds itself in the network, by what it measured.
  public var coordinate: NetworkCoordinate
  /// By peer; at most 64, with at most 8 probes each.
  public var peers: [Peer]

  /// Describes a node's measurements.
  public init(coordinate: NetworkCoordinate, peers: [Peer]) {
    self.coordinate = coordinate
    self.peers = peers
  }
}

/// Whom a node is to measure next.
public struct ProbeOrders: Hashable, Codable, Sendable {
  /// Peers, with their coordinates as they told them last.
  public var targets: [Target]
  /// The head's own coordinate: the landmark that everybody reaches.
  public var landmark: NetworkCoordinate
  /// When to tell what was measured and ask again, in milliseconds.
  public var intervalMilliseconds: Int

  /// Whom to measure.
  public struct Target: Hashable, Codable, Sendable {
    /// The peer.
    public var peer: PeerID
    /// Its coordinate.
    public var coordinate: NetworkCoordinate
    /// The address of its host, where that is a public one: private ones may be another's elsewhere.
    public var address: String?
    /// How many bytes to send it at once, to see how fast they go; `nil`: none.
    public var bulkBytes: Int?

    /// Describes a target.
    public init(
      peer: PeerID, coordinate: NetworkCoordinate, address: String? = nil, bulkBytes: Int? = nil
    ) {
      self.address = address
      self.peer = peer
      self.coordinate = coordinate
      self.bulkBytes = bulkBytes
    }
  }

  /// Describes orders.
  public init(targets: [Target], landmark: NetworkCoordinate, intervalMilliseconds: Int) {
    self.targets = targets
    self.landmark = landmark
    self.intervalMilliseconds = intervalMilliseconds
  }
}
