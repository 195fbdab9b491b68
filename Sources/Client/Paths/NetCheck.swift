internal import Foundation
public import IorunContract
internal import IorunCore
internal import IorunCrypto
public import IorunPath

/// What `iorun netcheck` finds out about this machine's place on the internet.
public struct NetCheck: Sendable {
  /// One relay as this machine reaches it.
  public struct Relay: Sendable {
    /// What the head says of it.
    public var offer: RelayOffer
    /// The round trip by UDP in milliseconds; `nil`: it does not answer.
    public var roundTripMilliseconds: Double?
    /// Whether its TCP port takes framed datagrams; `nil` where it has none.
    public var streamConnects: Bool?
  }

  /// What reflectors saw.
  public var findings: ReflectorFindings
  /// Whether a reflector answered by IPv6; `nil` where none has an address of it.
  public var hasIPv6: Bool?
  /// The largest packet that gets through, in bytes with its IP header.
  public var mtuBytes: Int?
  /// The relays, nearest first.
  public var relays: [Relay]

  /// Asks all relays of the head; takes two to five seconds.
  ///
  /// - Throws: what the head throws; `internalFault` without a socket.
  public static func run(_ head: HeadConnection) async throws -> NetCheck {
    let socket = try UDPSocket()
    defer { socket.shut() }
    let keeper = PathKeeper(channel: socket, key: try X25519())
    await keeper.start()
    let offers = await RelayLookup(headAddress: head.headAddress).complete(
      try await head.rendezvous.relays())
    let (findings, times) = await keeper.gather(offers.map(\.target))
    var relays: [Relay] = []
    for (index, offer) in offers.enumerated() {
      relays.append(
        Relay(
          offer: offer, roundTripMilliseconds: times[index].map { $0 / .milliseconds(1) },
          streamConnects: try await connects(offer)))
    }
    relays.sort {
      ($0.roundTripMilliseconds ?? .infinity) < ($1.roundTripMilliseconds ?? .infinity)
    }
    var mtu: Int?
    if let nearest = relays.first, nearest.roundTripMilliseconds != nil {
      mtu = await keeper.findMTU(to: nearest.offer.target)
    }
    await keeper.stop()
    let asksIPv6 = offers.contains { $0.target.addresses.contains { !$0.isV4 } }
    return NetCheck(
      findings: findings,
      hasIPv6: asksIPv6 ? findings.answers.contains { !$0.reflector.isV4 } : nil,
      mtuBytes: mtu, relays: relays)
  }

  private static func connects(_ offer: RelayOffer) async throws -> Bool? {
    guard offer.target.streamPort != 0 else { return nil }
    let shim = try StreamShim(
      to: offer.target.addresses.map { $0.with(port: offer.target.streamPort) })
    defer { shim.stop() }
    for _ in 0..<60 {
      if shim.isConnected { return true }
      try await Task.sleep(for: .milliseconds(25))
    }
    return false
  }
}
