internal import CShim
internal import IorunCore
internal import IorunWire

/// The listening end of links: one ROUTER socket, one link per process that a proved peer runs. Owned
/// by the I/O thread.
///
/// A peer is who CURVE and ZAP proved (`User-Id` on every message). The routing id that libzmq gave
/// its connection is only where answers go; the newest greeting of the same process decides it.
final class Acceptor: LinkOwner {
  /// What happened to links.
  enum Event {
    case up(MeshEngine.LinkID, address: PeerID, principal: PeerID)
    /// Somebody asks to be admitted with the ticket whose key the connection proved; `decide` answers.
    case newcomer(MeshEngine.LinkID, Newcomer, ticket: PeerID)
    case down(MeshEngine.LinkID)
    case packet(MeshEngine.LinkID, Packet)
  }

  /// A link that was silent for so long is down; diallers send a heartbeat each second.
  static let silence = Duration.seconds(5)
  /// The same while the other end's kernel acknowledges: its process gets no processor.
  static let silenceOfStarved = Duration.seconds(30)
  /// After so long without bytes the kernel is asked for acknowledgements.
  static let quiet = Duration.milliseconds(400)
  /// For so long an acknowledgement proves that a connection stands: the kernel asks for one each
  /// second (`HardenedSocket`).
  static let acknowledgementLasts = Duration.milliseconds(2500)
  /// Messages taken in one turn, so that one busy peer cannot keep the loop from its timers.
  static let messagesPerTurn = 512
  /// Bytes taken in one turn: what is decoded at once stays bounded.
  static let bytesPerTurn = 8 << 20
  /// How many processes of one peer may be linked at once.
  static let instancesPerPeer = 256

  /// Where libzmq sends answers to a connection.
  private typealias Route = [UInt8]

  private struct Link {
    let id: MeshEngine.LinkID
    /// The process's place on the mesh.
    let address: PeerID
    /// Whose process it is.
    let principal: PeerID
    /// What ZAP said on the greeting; every later message must say the same.
    let userID: String
    let connection: UInt64
    /// Until when its certificate is good, in seconds since 1970 (UTC), where it had to show one.
    var goodUntil: Double?
    var lastHeard: MonotonicTime
    /// The descriptor of its connection, for looking at only: it is libzmq's.
    var descriptor: Int32?
    var outbox = LinkOutbox()
  }

  let socket: ZMQSocket
  let addresses: [String]
  private let security: LinkSecurity
  private let authenticator: Authenticator
  private let domain: String
  private let identity: CurveKey
  /// What both ends of a link show each other; `nil` where keys are enough.
  private let credentials: LinkCredentials?
  private var newcomers = WaitingNewcomers()
  private var links: [Route: Link] = [:]
  private var routeOf: [PeerID: Route] = [:]
  /// How many links a peer's processes have.
  private var instances: [PeerID: Int] = [:]
  private var routes: [MeshEngine.LinkID: Route] = [:]
  /// The links whose outboxes hold something: of thousands, a turn looks at these only.
  private var unsent: [Route] = []
  /// The connection of each route that has greeted.
  private var routeOfDescriptor: [Int32: Route] = [:]
  /// Connections that have ended, of which messages may still wait.
  private var closing: [Int32] = []
  /// The connection of the message at hand, where its route has no link.
  private var descriptor: Int32?
  let monitor: ListenerMonitor
  private let board: LinkBoard
  /// Peers that were revoked while they were connected: whatever they send is dropped.
  private var expelled: Set<PeerID> = []

  /// - Throws: `addressInUse`.
  init(
    addresses: [String], identity: CurveKey, admits: @escaping KeyAdmission,
    credentials: LinkCredentials? = nil, security: LinkSecurity, board: LinkBoard
  ) throws {
    self.credentials = credentials
    self.security = security
    self.identity = identity
    self.board = board
    let authenticator = try Authenticator.shared.get()
    domain = authenticator.register(admits)
    self.authenticator = authenticator
    socket = try HardenedSocket.listener(identity: identity, domain: domain, security: security)
    monitor = try ListenerMonitor(socket)
    self.addresses = try addresses.map { [socket] address in
      try socket.bind(address)
      return socket.lastEndpoint
    }
  }

  deinit { authenticator.unregister(domain) }

  /// Takes what has arrived.
  func receive(now: MonotonicTime, nextLink: inout MeshEngine.LinkID, into events: inout [Event]) {
    closing += monitor.ended()
    var bytes = 0
    for _ in 0..<Self.messagesPerTurn where bytes < Self.bytesPerTurn {
      guard let parts = socket.receive(partLimit: 3, unless: { links[$0] != nil })
      else {
        // All that closed connections had sent is taken.
        endClosed(into: &events)
        return
      }
      bytes += parts.last?.bytes.count ?? 0
      guard (2...3).contains(parts.count), let userID = userID(parts) else { continue }
      let route = parts[0].bytes
      guard let frames = try? frames(of: parts) else {
        // An admitted peer that sends garbage is broken or hostile: its link ends here.
        end(route, into: &events)
        continue
      }
      descriptor = parts[1].descriptor
      for frame in frames {
        handle(frame, userID, route, now: now, nextLink: &nextLink, into: &events)
      }
    }
  }

  private func frames(of parts: [ZMQSocket.Part]) throws -> [Frame] {
    try parts[1].bytes.withUnsafeBytes { bytes in
      try FrameCodec.decode(bytes, tail: parts.count > 2 ? parts[2].bytes : nil)
    }
  }

  func send(_ packet: Packet, over link: MeshEngine.LinkID) {
    guard let route = routes[link] else { return }
    put(.packet(packet), into: route)
  }

  /// Hands everything that waits to libzmq.
  func flush() {
    guard !unsent.isEmpty else { return }
    for route in unsent.take() {
      links[route]?.outbox.flush { [socket] message in
        socket.send(route, more: true) && socket.send(message)
      }
      if links[route]?.outbox.isEmpty == false { unsent.append(route) }
    }
  }

  private func put(_ frame: Frame, into route: Route) {
    guard let index = links.index(forKey: route) else { return }
    if links.values[index].outbox.isEmpty { unsent.append(route) }
    links.values[index].outbox.append(frame)
  }

  /// Ends links that were silent too long, or whose certificate is over: the peer shows a fresh one
  /// when it dials again.
  func sweep(now: MonotonicTime, into events: inout [Event]) {
    newcomers.sweep(now)
    let moment = credentials?.now()
    var heard: [PeerID: MonotonicTime] = [:]
    var acknowledged: [PeerID: MonotonicTime] = [:]
    for (route, link) in links {
      let isOver = moment.map { $0 >= link.goodUntil ?? .infinity } ?? false
      let silence = now - link.lastHeard
      let age = silence > Self.quiet ? Self.acknowledgementAge(link.descriptor) : nil
      let isAcknowledged = age.map { $0 < Self.acknowledgementLasts } ?? false
      if silence > (isAcknowledged ? Self.silenceOfStarved : Self.silence) || isOver {
        end(route, into: &events)
      } else if link.address == link.principal {
        heard[link.principal] = link.lastHeard
        if let age { acknowledged[link.principal] = now + (.zero - age) }
      }
    }
    board.heard(heard, acknowledged: acknowledged)
  }

  /// How long ago the other end's kernel acknowledged something over a connection; `nil` where it does
  /// not stand or is none of TCP. Should the descriptor be another connection's by now, of whose end
  /// the monitor has not told yet, that is wrong until the next look.
  private static func acknowledgementAge(_ descriptor: Int32?) -> Duration? {
    guard let descriptor else { return nil }
    let age = iorun_tcp_acknowledgement_age(descriptor)
    return age < 0 ? nil : .milliseconds(age)
  }

  /// Ends the links whose connections were closed.
  private func endClosed(into events: inout [Event]) {
    for descriptor in closing {
      guard let route = routeOfDescriptor.removeValue(forKey: descriptor) else { continue }
      newcomers.forget(route)
      end(route, wasClosed: true, into: &events)
    }
    closing.removeAll(keepingCapacity: true)
  }

  /// Notes which connection a greeting came over. An earlier one of the same descriptor has ended, of
  /// which the monitor has told by now.
  private func note(_ descriptor: Int32, of route: Route, into events: inout [Event]) {
    closing += monitor.ended()
    closing.removeAll { $0 == descriptor }
    if let old = routeOfDescriptor.updateValue(route, forKey: descriptor), old != route {
      newcomers.forget(old)
      end(old, wasClosed: true, into: &events)
    }
  }

  /// Ends the links of a peer that was revoked, and hears nothing of it any more: libzmq has no way to
  /// close its connection, and it may greet again.
  func expel(_ principal: PeerID, into events: inout [Event]) {
    expelled.insert(principal)
    endLinks(to: principal, into: &events)
  }

  /// Ends the links of a peer's processes.
  func endLinks(to principal: PeerID, into events: inout [Event]) {
    for (route, link) in links where link.principal == principal { end(route, into: &events) }
  }

  /// Closes the socket and ends every link.
  func close(into events: inout [Event]) {
    for route in Array(links.keys) { end(route, into: &events) }
    monitor.close()
    socket.close()
  }

  private func userID(_ parts: [ZMQSocket.Part]) -> String? {
    switch security {
    case .curve: parts[1].userID
    case .plaintextForBenchmark: String(decoding: parts[0].bytes.dropFirst(), as: UTF8.self)
    }
  }

  private func handle(
    _ frame: Frame, _ userID: String, _ route: Route, now: MonotonicTime,
    nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    if case .hello(let version, _, let connection, let instance, let newcomer, let certificate) =
      frame
    {
      do throws(IorunError) {
        guard let principal = PeerID(userID), !expelled.contains(principal) else { return }
        try check(version)
        nextLink += 1
        if let newcomer {
          try introduce(
            newcomer, nextLink, userID: userID, ticket: principal, at: route,
            connection: connection, instance: instance, now: now, into: &events)
          return
        }
        let goodUntil = try credentials?.end(of: certificate, of: principal)
        let link = try link(
          nextLink, userID: userID, principal: principal, connection: connection,
          instance: instance, now: now)
        guard var link else { return }
        link.goodUntil = goodUntil
        try accept(link, at: route, into: &events)
      } catch {
        refuse(route, error)
      }
      return
    }
    // Anything but a greeting counts only on a connection that has greeted.
    guard let link = links[route], link.userID == userID else {
      if case .packet(let packet) = frame {
        _ = newcomers.keep(packet, from: route, userID: userID)
      }
      return
    }
    links[route]?.lastHeard = now
    switch frame {
    case .packet(let packet): events.append(.packet(link.id, packet))
    case .ping(let token): put(.pong(token: token), into: route)
    case .hello, .welcome, .refusal, .pong: return
    }
  }

  /// Lets a newcomer wait whose greeting proves the key that it names. Once a connection: who wants
  /// another answer pays for another handshake, of which a ticket has only so many.
  private func introduce(
    _ newcomer: Newcomer, _ number: MeshEngine.LinkID, userID: String, ticket: PeerID,
    at route: Route, connection: UInt64, instance: UInt64, now: MonotonicTime,
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
      instance: instance, now: now)
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
        instance: one.instance, now: now)
      guard let link, !expelled.contains(one.peer) else { return }
      // Its connection was noted with the greeting.
      descriptor = nil
      try accept(link, at: one.route, into: &events)
      events += one.packets.map { .packet(number, $0) }
    } catch {
      refuse(one.route, error)
    }
  }

  private func check(_ version: UInt32) throws(IorunError) {
    guard version == IorunVersion.wireProtocol else {
      throw IorunError(
        .versionMismatch,
        "this head speaks wire protocol \(IorunVersion.wireProtocol), the peer \(version)",
        remedy: "Run the same release of iorun on both")
    }
  }

  /// The link that a greeting asks for; `nil` where a newer connection of the process lives.
  private func link(
    _ number: MeshEngine.LinkID, userID: String, principal: PeerID, connection: UInt64,
    instance: UInt64, now: MonotonicTime
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
      connection: connection, lastHeard: now)
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
        protocolVersion: IorunVersion.wireProtocol, release: IorunVersion.release,
        connection: link.connection, certificate: certificate), into: route)
    instances[link.principal, default: 0] += 1
    routeOf[link.address] = route
    routes[link.id] = route
    events.append(.up(link.id, address: link.address, principal: link.principal))
    if link.address == link.principal { board.isUp(link.principal, now: link.lastHeard) }
  }

  private func refuse(_ route: Route, _ error: IorunError) {
    var bytes: [UInt8] = []
    FrameCodec.append(
      .refusal(
        code: error.code.rawValue, message: error.message, remedy: error.remedy ?? ""), to: &bytes)
    // Best effort: whoever is refused may be gone.
    _ = socket.send(route, more: true) && socket.send(bytes)
  }

  private func end(
    _ route: Route, wasClosed: Bool = false, isReplaced: Bool = false, into events: inout [Event]
  ) {
    guard let link = links.removeValue(forKey: route) else { return }
    routeOf[link.address] = nil
    routes[link.id] = nil
    let left = instances[link.principal, default: 0] - 1
    instances[link.principal] = left > 0 ? left : nil
    events.append(.down(link.id))
    if link.address == link.principal, !isReplaced {
      board.isDown(link.principal, wasClosed: wasClosed)
    }
  }
}
