internal import IorunCore
internal import IorunWire

/// Newcomers whose greeting has come and whose admission is being decided, with the first packets that
/// came behind the greeting: they count from the welcome on. A pure value.
struct WaitingNewcomers: Sendable {
  /// One who waits.
  struct Waiting: Sendable {
    let route: Route
    /// What ZAP said: the ticket.
    let userID: String
    let peer: PeerID
    let connection: UInt64
    let instance: UInt64
    let version: UInt32
    let since: MonotonicTime
    fileprivate(set) var packets: [Packet] = []
  }

  /// How many may wait at once.
  static let limit = 256
  /// After so long nobody waits any more.
  static let patience = Duration.seconds(30)
  /// A session's first words; more comes again after the welcome.
  static let packetLimit = 8
  static let packetBytes = 4096

  private var waiting: [MeshEngine.LinkID: Waiting] = [:]
  private var linkOf: [Route: MeshEngine.LinkID] = [:]

  /// True where no more may wait.
  var isFull: Bool { waiting.count >= Self.limit }

  /// Lets one wait for the link of that number; one who waits on the same connection waits no more.
  mutating func add(
    _ link: MeshEngine.LinkID, route: Route, userID: String, peer: PeerID, connection: UInt64,
    instance: UInt64, version: UInt32, now: MonotonicTime
  ) {
    forget(route)
    waiting[link] = Waiting(
      route: route, userID: userID, peer: peer, connection: connection, instance: instance,
      version: version, since: now)
    linkOf[route] = link
  }

  /// Keeps a packet of one who waits; false where nobody waits on that connection.
  mutating func keep(_ packet: Packet, from route: Route, userID: String) -> Bool {
    guard !linkOf.isEmpty, let link = linkOf[route], let one = waiting[link],
      one.userID == userID
    else { return false }
    if one.packets.count < Self.packetLimit, packet.payloadByteCount <= Self.packetBytes {
      waiting[link]?.packets.append(packet)
    }
    return true
  }

  /// Takes the one who waits for that link.
  mutating func take(_ link: MeshEngine.LinkID) -> Waiting? {
    guard let one = waiting.removeValue(forKey: link) else { return nil }
    if linkOf[one.route] == link { linkOf[one.route] = nil }
    return one
  }

  /// That connection is gone: whoever waited on it waits no more.
  mutating func forget(_ route: Route) {
    if let link = linkOf.removeValue(forKey: route) { waiting[link] = nil }
  }

  /// Forgets those whose decision never came.
  mutating func sweep(_ now: MonotonicTime) {
    for (link, one) in waiting where now - one.since > Self.patience { _ = take(link) }
  }
}
