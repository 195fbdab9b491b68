internal import IorunContract
public import IorunCore
internal import IorunCrypto
internal import IorunPath

/// Looks for a path from this machine to a node, and tells how it stands again and again.
public actor PathPing {
  /// How it stands.
  public struct Reading: Sendable {
    /// The node's name.
    public var name: String
    /// True for a direct way, false for a relay, `nil` for none yet.
    public var isDirect: Bool?
    /// The address in use.
    public var address: String?
    /// The round trip in milliseconds.
    public var roundTripMilliseconds: Double?
  }

  private let socket: UDPSocket
  private let place: PathPlace
  private let node: PeerID
  private var name = ""

  /// - Throws: `internalFault` without a socket.
  public init(_ head: HeadConnection, node: PeerID) throws {
    socket = try UDPSocket()
    self.node = node
    var settings = PathMachine.Settings()
    // Somebody waits and watches.
    settings.heartbeat = .milliseconds(500)
    place = PathPlace(
      keeper: PathKeeper(channel: socket, key: try X25519(), settings: settings),
      headAddress: head.headAddress)
  }

  /// Asks reflectors and the head, and begins.
  ///
  /// - Throws: what the head throws: `notAllowed`, `notFound`, `unreachable`.
  public func begin(_ head: HeadConnection) async throws {
    await place.keeper.start()
    await place.gather(try await head.rendezvous.relays())
    let offer = try await head.rendezvous.meet(
      node, await place.end, relayRoundTripsMilliseconds: await place.roundTrips)
    name = offer.name
    try await place.add(node.description, offer) { _ in }
  }

  /// How it stands now.
  public func reading() async -> Reading {
    let status = await place.keeper.status(node.description)
    return Reading(
      name: name, isDirect: status?.route?.isDirect,
      address: status?.route?.address.description,
      roundTripMilliseconds: status?.roundTrip.map { $0 / .milliseconds(1) })
  }

  /// Ends the search.
  public func stop() async {
    await place.stop()
    socket.shut()
  }
}
