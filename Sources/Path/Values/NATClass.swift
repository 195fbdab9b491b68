public import IorunCore

/// What stands between a machine and the internet, as far as UDP goes (the terms of RFC 4787, in
/// the names that people know).
public enum NATClass: String, Sendable, Codable, Hashable, CaseIterable {
  /// Nothing was found out.
  case unknown
  /// No datagram comes back: only TCP works.
  case udpBlocked = "udp_blocked"
  /// The machine's own address is public.
  case open
  /// One mapping for all destinations. Whom it lets in is not known, or anybody.
  case cone
  /// One mapping for all destinations; lets in only addresses and ports that were written to.
  case portRestricted = "port_restricted"
  /// Another mapping for each destination: its port cannot be told to others beforehand.
  case symmetric

  /// The number on the wire.
  public var wireValue: UInt8 { UInt8(Self.allCases.firstIndex(of: self) ?? 0) }

  /// Reads the number on the wire; unknown ones are ``unknown``.
  public init(wireValue: UInt8) {
    let all = Self.allCases
    self = Int(wireValue) < all.count ? all[Int(wireValue)] : .unknown
  }

  /// True where the mapping that a reflector saw is the one that everybody else will see.
  public var isEasy: Bool { self == .open || self == .cone || self == .portRestricted }
}

/// What reflectors answered to one socket.
public struct ReflectorFindings: Sendable, Hashable {
  /// One reflector's answer.
  public struct Answer: Sendable, Hashable {
    /// The reflector's address and port that was asked.
    public var reflector: SocketAddress
    /// The address that it saw.
    public var mapped: SocketAddress
    /// The time until the answer came.
    public var roundTrip: Duration

    /// Makes an answer.
    public init(reflector: SocketAddress, mapped: SocketAddress, roundTrip: Duration) {
      self.reflector = reflector
      self.mapped = mapped
      self.roundTrip = roundTrip
    }
  }

  /// All answers, in the order in which they came.
  public var answers: [Answer]
  /// Whether an answer from a port that was never written to came in; `nil` where none was asked for.
  public var unaskedPortAnswered: Bool?
  /// The machine's own addresses, with the socket's port.
  public var own: [SocketAddress]

  /// Makes findings.
  public init(
    answers: [Answer] = [], unaskedPortAnswered: Bool? = nil, own: [SocketAddress] = []
  ) {
    self.answers = answers
    self.unaskedPortAnswered = unaskedPortAnswered
    self.own = own
  }

  /// The addresses that reflectors saw, without repetition.
  public var mapped: [SocketAddress] {
    var seen: Set<SocketAddress> = []
    return answers.map(\.mapped).filter { seen.insert($0).inserted }
  }

  /// The class, by IPv4's answers where there are any: IPv6 has no NAT to speak of.
  ///
  /// Two reflector ports on one address tell a mapping by port; two addresses also tell one by
  /// address. An open address may still be behind a filter: that is ``NATClass/portRestricted``.
  public var natClass: NATClass {
    guard !answers.isEmpty else { return .udpBlocked }
    let four = answers.filter(\.mapped.isV4)
    let used = four.isEmpty ? answers : four
    let seen = Set(used.map(\.mapped))
    if seen.count > 1 { return .symmetric }
    guard let only = seen.first else { return .unknown }
    if unaskedPortAnswered == false { return .portRestricted }
    if own.contains(only) { return .open }
    // With one destination a mapping by destination cannot be told from one for all.
    if Set(used.map(\.reflector)).count < 2 { return .unknown }
    return .cone
  }
}
