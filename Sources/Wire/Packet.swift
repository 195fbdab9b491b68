public import IorunCore

/// Which queue a payload travels in. Classes have their own order and credit, so that bulk bytes
/// never hold up a control message.
public enum TrafficClass: Int, Sendable, Hashable, CaseIterable, Codable {
  /// Registration, heartbeats, leases.
  case control = 0
  /// Calls of distributed actors.
  case actor = 1
  /// Chunks of content and logs.
  case bulk = 2
}

/// One unit between two peers. Those in between read the header only.
public struct Packet: Sendable, Hashable {
  /// What the packet is for.
  public enum Kind: Sendable, Hashable {
    /// Asks the destination for its incarnation.
    case open
    /// Answers `open`.
    case accept
    /// Carries a payload under its number in the class, from 1.
    case data(sequence: UInt64, payload: [UInt8])
    /// Carries nothing but the acknowledgement and credit that every packet carries.
    case acknowledge
    /// The destination incarnation is not there (any more).
    case reset
    /// Someone in between has no way to the destination now.
    case unreachable
    /// Holds a `data` or `acknowledge` that only the destination can open, under the seal's counter.
    case sealed(counter: UInt64, content: [UInt8])
  }

  /// The peer that made the packet.
  public var source: PeerID
  /// The peer it is for.
  public var destination: PeerID
  /// Which session of the source made it; a new one, or a restart, has another number.
  public var sourceIncarnation: UInt64
  /// Which session of the destination it is for; 0 where unknown.
  public var destinationIncarnation: UInt64
  /// What it is for.
  public var kind: Kind
  /// The class that `kind` and the two fields below speak of.
  public var trafficClass: TrafficClass
  /// Every payload of the class up to this number has arrived at the source.
  public var acknowledged: UInt64
  /// The source takes payload bytes of the class up to this total since the session began.
  public var creditLimit: UInt64
  /// Who made the packet (`open` and `accept` only).
  public var greeting: SessionGreeting?

  /// How many bytes `data` and `sealed` carry; 0 for the others.
  public var payloadByteCount: Int { payload.count }

  /// What `data` and `sealed` carry; empty for the others.
  var payload: [UInt8] {
    switch kind {
    case .data(_, let payload): payload
    case .sealed(_, let content): content
    case .open, .accept, .acknowledge, .reset, .unreachable: []
    }
  }

  /// Makes a packet.
  public init(
    source: PeerID, destination: PeerID, sourceIncarnation: UInt64,
    destinationIncarnation: UInt64, kind: Kind, trafficClass: TrafficClass,
    acknowledged: UInt64 = 0, creditLimit: UInt64 = 0, greeting: SessionGreeting? = nil
  ) {
    self.source = source
    self.destination = destination
    self.sourceIncarnation = sourceIncarnation
    self.destinationIncarnation = destinationIncarnation
    self.kind = kind
    self.trafficClass = trafficClass
    self.acknowledged = acknowledged
    self.creditLimit = creditLimit
    self.greeting = greeting
  }
}
