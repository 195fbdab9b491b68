internal import IorunCore
internal import IorunWire

/// Who gets in: greetings, and newcomers that wait for the head's word.
extension Acceptor {
  /// Takes a greeting: a link comes of it, a newcomer that waits, or a refusal that says why not.
  func greet(
    _ frame: Frame, _ route: Route, now: MonotonicTime,
    nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    guard
      case .hello(
        let newest, _, let connection, let instance, let newcomer, let certificate, let oldest) =
        frame
    else { return }
    do throws(IorunError) {
      guard let userID = userID(), let principal = PeerID(userID), !expelled.contains(principal)
      else { return }
      let version = try version(newest: newest, oldest: oldest)
      nextLink += 1
      if let newcomer {
        try introduce(
          newcomer, nextLink, userID: userID, ticket: principal, at: route,
          connection: connection, instance: instance, version: version, now: now,
          into: &events)
        return
      }
      let goodUntil = try credentials?.end(of: certificate, of: principal)
      let link = try link(
        nextLink, userID: userID, principal: principal, connection: connection,
        instance: instance, version: version, now: now)
      guard var link else { return }
      link.goodUntil = goodUntil
      try accept(link, at: route, into: &events)
    } catch {
      refuse(route, error)
    }
  }

  /// Lets a newcomer wait whose greeting proves the key that it names. Once a connection: who wants
  /// another answer pays for another handshake, of which a ticket has only so many.
  private func introduce(
    _ newcomer: Newcomer, _ number: MeshEngine.LinkID, userID: String, ticket: PeerID,
    at route: Route, connection: UInt64, instance: UInt64, version: UInt32, now: MonotonicTime,
    into events: inout [Event]
  ) throws(IorunError) {
    guard let descriptor, routeOfDescriptor[descriptor] != route, links[route] == nil else {
      return
    }
    note(descriptor, of: route, into: &events)
    guard credentials == nil else {
      throw IorunError(.notAllowed, "nobody is admitted by tickets here")
    }
    guard !newcomers.isFull else {
      throw IorunError(
        .overloaded, "too many newcomers wait to be admitted", remedy: "Try again")
    }
    let peer = Introduction.peer(
      of: newcomer, head: identity, ticket: ticket, connection: connection, instance: instance)
    guard let peer else {
      throw IorunError(
        .notAllowed, "the greeting does not prove the key that it names",
        remedy: "Run the same release of iorun on both")
    }
    newcomers.add(
      number, route: route, userID: userID, peer: peer, connection: connection,
      instance: instance, version: version, now: now)
    events.append(.newcomer(number, newcomer, ticket: ticket))
  }

  /// Welcomes a newcomer, whose link is its own from then on, or says why not.
  func decide(
    _ number: MeshEngine.LinkID, refusal: IorunError?, now: MonotonicTime,
    into events: inout [Event]
  ) {
    guard let one = newcomers.take(number) else { return }
    do throws(IorunError) {
      if let refusal { throw refusal }
      let link = try link(
        number, userID: one.userID, principal: one.peer, connection: one.connection,
        instance: one.instance, version: one.version, now: now)
      guard let link, !expelled.contains(one.peer) else { return }
      // Its connection was noted with the greeting.
      descriptor = nil
      try accept(link, at: one.route, into: &events)
      events += one.packets.map { .packet(number, $0) }
    } catch {
      refuse(one.route, error)
    }
  }

  /// The version to speak with who greets.
  private func version(newest: UInt32, oldest: UInt32) throws(IorunError) -> UInt32 {
    let theirs = ProtocolVersions(oldest: Int(oldest), newest: Int(newest))
    return UInt32(
      clamping: try versions.agreed(
        with: theirs, "wire protocol", who: "the peer", own: "this end"))
  }

  /// The link that a greeting asks for; `nil` where a newer connection of the process lives.
  private func link(
    _ number: MeshEngine.LinkID, userID: String, principal: PeerID, connection: UInt64,
    instance: UInt64, version: UInt32, now: MonotonicTime
  ) throws(IorunError) -> Link? {
    let address = MeshInstance.address(of: instance, of: principal)
    if let route = routeOf[address], let present = links[route],
      present.connection > connection, now - present.lastHeard < .seconds(2)
    {
      return nil
    }
    // The link that this one replaces does not count.
    let others = instances[principal, default: 0] - (routeOf[address] == nil ? 0 : 1)
    guard others < Self.instancesPerPeer else {
      throw IorunError(
        .overloaded, "\(Self.instancesPerPeer) processes of this peer are connected already",
        remedy: "End some of them")
    }
    return Link(
      id: number, address: address, principal: principal, userID: userID,
      connection: connection, version: version, now: now)
  }

  private func accept(
    _ link: Link, at route: Route, into events: inout [Event]
  ) throws(IorunError) {
    let certificate = try credentials?.own() ?? []
    if let descriptor { note(descriptor, of: route, into: &events) }
    if let old = routeOf[link.address] { end(old, isReplaced: true, into: &events) }
    end(route, isReplaced: true, into: &events)
    links[route] = link
    links[route]?.descriptor = descriptor ?? routeOfDescriptor.first { $0.value == route }?.key
    put(
      .welcome(
        protocolVersion: link.version, release: IorunVersion.release,
        connection: link.connection, certificate: certificate), into: route)
    instances[link.principal, default: 0] += 1
    routeOf[link.address] = route
    routes[link.id] = route
    events.append(.up(link.id, address: link.address, principal: link.principal))
    if link.address == link.principal { board.isUp(link.principal, now: link.lastHeard) }
  }

  func refuse(_ route: Route, _ error: IorunError) {
    var bytes: [UInt8] = []
    FrameCodec.append(
      .refusal(
        code: error.code.rawValue, message: error.message, remedy: error.remedy ?? ""), to: &bytes)
    // Best effort: whoever is refused may be gone.
    _ = socket.send(route, more: true) && socket.send(bytes)
  }
}
