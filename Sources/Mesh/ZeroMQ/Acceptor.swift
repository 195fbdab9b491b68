internal import IorunCore
internal import IorunWire

/// The listening end of links: one ROUTER socket, one link per proved peer. Owned by the I/O thread.
///
/// A peer is who CURVE and ZAP proved (`User-Id` on every message). The routing id that libzmq gave
/// its connection is only where answers go; the newest greeting of the same key decides it.
final class Acceptor {
  /// What happened to links.
  enum Event {
    case up(MeshEngine.LinkID, PeerID)
    case down(MeshEngine.LinkID)
    case packet(MeshEngine.LinkID, Packet)
  }

  /// A link that was silent for so long is down; diallers send a heartbeat each second.
  static let silence = Duration.seconds(5)
  /// Messages taken in one turn, so that one busy peer cannot keep the loop from its timers.
  static let messagesPerTurn = 512

  private struct Link {
    let id: MeshEngine.LinkID
    let peer: PeerID
    let route: [UInt8]
    let connection: UInt64
    var lastHeard: MonotonicTime
    var outbox = LinkOutbox()
  }

  let socket: ZMQSocket
  let addresses: [String]
  private let security: LinkSecurity
  private var links: [PeerID: Link] = [:]
  private var peers: [MeshEngine.LinkID: PeerID] = [:]

  init(
    addresses: [String], identity: CurveKey, domain: String, security: LinkSecurity
  ) throws {
    self.security = security
    socket = try HardenedSocket.listener(identity: identity, domain: domain, security: security)
    self.addresses = try addresses.map { [socket] address in
      try socket.bind(address)
      return socket.lastEndpoint
    }
  }

  /// Takes what has arrived.
  func receive(now: MonotonicTime, nextLink: inout MeshEngine.LinkID, into events: inout [Event]) {
    for _ in 0..<Self.messagesPerTurn {
      guard let parts = socket.receive(partLimit: 2) else { return }
      guard parts.count == 2, let peer = sender(parts) else { continue }
      guard let frames = try? parts[1].bytes.withUnsafeBytes({ try FrameCodec.decode($0) }) else {
        // An admitted peer that sends garbage is broken or hostile: its link ends here.
        end(peer, into: &events)
        continue
      }
      for frame in frames {
        handle(
          frame, from: peer, route: parts[0].bytes, now: now, nextLink: &nextLink, into: &events)
      }
    }
  }

  func send(_ packet: Packet, over link: MeshEngine.LinkID) {
    guard let peer = peers[link] else { return }
    links[peer]?.outbox.append(.packet(packet))
  }

  /// Hands everything that waits to libzmq.
  func flush() {
    for (peer, link) in links where !link.outbox.isEmpty {
      links[peer]?.outbox.flush { [socket] bytes in
        socket.send(link.route, more: true) && socket.send(bytes)
      }
    }
  }

  /// Ends links that were silent too long.
  func sweep(now: MonotonicTime, into events: inout [Event]) {
    for (peer, link) in links where now - link.lastHeard > Self.silence {
      end(peer, into: &events)
    }
  }

  private func sender(_ parts: [ZMQSocket.Part]) -> PeerID? {
    switch security {
    case .curve: return parts[1].userID.flatMap { PeerID($0) }
    case .plaintextForBenchmark:
      return PeerID(String(decoding: parts[0].bytes.dropFirst(), as: UTF8.self))
    }
  }

  private func handle(
    _ frame: Frame, from peer: PeerID, route: [UInt8], now: MonotonicTime,
    nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    if case .hello(let version, _, let connection) = frame {
      greet(
        peer, version: version, connection: connection, route: route, now: now,
        nextLink: &nextLink, into: &events)
      return
    }
    // Anything but a greeting counts only on the peer's present connection.
    guard let link = links[peer], link.route == route else { return }
    links[peer]?.lastHeard = now
    switch frame {
    case .packet(let packet): events.append(.packet(link.id, packet))
    case .ping(let token): links[peer]?.outbox.append(.pong(token: token))
    case .hello, .welcome, .refusal, .pong: return
    }
  }

  private func greet(
    _ peer: PeerID, version: UInt32, connection: UInt64, route: [UInt8], now: MonotonicTime,
    nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    guard version == IorunVersion.wireProtocol else {
      refuse(
        route,
        IorunError(
          .versionMismatch,
          "this head speaks wire protocol \(IorunVersion.wireProtocol), the peer \(version)",
          remedy: "Run the same release of iorun on both"))
      return
    }
    // An older connection that greets late must not displace a newer one that lives.
    if let present = links[peer], present.connection > connection,
      now - present.lastHeard < .seconds(2)
    {
      return
    }
    end(peer, into: &events)
    nextLink += 1
    var link = Link(
      id: nextLink, peer: peer, route: route, connection: connection, lastHeard: now)
    link.outbox.append(
      .welcome(
        protocolVersion: IorunVersion.wireProtocol, release: IorunVersion.release,
        connection: connection))
    links[peer] = link
    peers[link.id] = peer
    events.append(.up(link.id, peer))
  }

  private func refuse(_ route: [UInt8], _ error: IorunError) {
    var bytes: [UInt8] = []
    FrameCodec.append(
      .refusal(
        code: error.code.rawValue, message: error.message, remedy: error.remedy ?? ""), to: &bytes)
    // Best effort: whoever is refused may be gone.
    _ = socket.send(route, more: true) && socket.send(bytes)
  }

  private func end(_ peer: PeerID, into events: inout [Event]) {
    guard let link = links.removeValue(forKey: peer) else { return }
    peers[link.id] = nil
    events.append(.down(link.id))
  }
}
