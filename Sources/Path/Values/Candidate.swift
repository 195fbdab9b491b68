public import IorunCore

/// One address under which a peer may be reached, and how it is known.
public struct Candidate: Hashable, Sendable, Codable {
  /// How an address is known.
  public enum Kind: UInt8, Sendable, Codable, Hashable {
    /// An address of one of the machine's interfaces.
    case host = 1
    /// What a reflector saw: the outermost NAT's address for the socket.
    case mapped = 2
    /// Whence an authentic ping came.
    case observed = 3
  }

  /// How it is known.
  public var kind: Kind
  /// Where.
  public var address: SocketAddress

  /// The most that a peer may name.
  public static let limit = 16

  /// Makes a candidate.
  public init(_ kind: Kind, _ address: SocketAddress) {
    self.kind = kind
    self.address = address
  }

  /// The order in which to try: addresses of one LAN first, then IPv6, which knows no NAT, then what
  /// a NAT shows of IPv4.
  public var rank: Int {
    switch (kind, address.isV4) {
    case (.host, false): address.isPrivate ? 1 : 0
    case (.host, true): 2
    case (.mapped, false), (.observed, false): 3
    case (.mapped, true), (.observed, true): 4
    }
  }

  /// The usable ones of `candidates`, each address once, best first, at most ``limit``.
  public static func sorted(_ candidates: some Sequence<Candidate>) -> [Candidate] {
    var seen: Set<SocketAddress> = []
    let usable = candidates.filter {
      !$0.address.isUnusable && !$0.address.isLinkLocal && seen.insert($0.address).inserted
    }
    let ordered = usable.enumerated().sorted {
      ($0.element.rank, $0.offset) < ($1.element.rank, $1.offset)
    }
    return ordered.prefix(limit).map(\.element)
  }
}
