internal import CShim
internal import IorunCore
internal import IorunWire

/// The listening end of links: one ROUTER socket, one link per process that a proved peer runs. Owned
/// by the I/O thread.
///
/// A peer is who CURVE and ZAP proved (`User-Id` on every message). The routing id that libzmq gave
/// its connection is only where answers go; the newest greeting of the same process decides it. Who gets
/// in is told in `Acceptor+Admission.swift`.
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
  /// After so long without bytes, and half as long again as is usual, the kernel is asked for
  /// acknowledgements.
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

  typealias Link = AcceptedLink

  let socket: ZMQSocket
  let addresses: [String]
  private let security: LinkSecurity
  private let authenticator: Authenticator
  private let domain: String
  let versions: ProtocolVersions
  let identity: CurveKey
  /// What both ends of a link show each other; `nil` where keys are enough.
  let credentials: LinkCredentials?
  var newcomers = WaitingNewcomers()
  var links: [Route: Link] = [:]
  var routeOf: [PeerID: Route] = [:]
  /// How many links a peer's processes have.
  var instances: [PeerID: Int] = [:]
  var routes: [MeshEngine.LinkID: Route] = [:]
  /// The links whose outboxes hold something: of thousands, a turn looks at these only.
  private var unsent: [Route] = []
  /// The connection of each route that has greeted.
  var routeOfDescriptor: [Int32: Route] = [:]
  /// Connections that have ended, of which messages may still wait.
  private var closing: [Int32] = []
  /// The connection of the message at hand, where its route has no link.
  var descriptor: Int32?
  private let message = ZMQMessage()
  /// Heartbeats that are to be answered.
  private var heartbeats: [(Route, token: UInt64)] = []
  let monitor: ListenerMonitor
  private var pauses = ListenerPauses()
  let board: LinkBoard
  /// Peers that were revoked while they were connected: whatever they send is dropped.
  var expelled: Set<PeerID> = []
  private var limiter: MessageLimiter

  /// - Throws: `addressInUse`.
  init(
    addresses: [String], identity: CurveKey, admits: @escaping KeyAdmission,
    credentials: LinkCredentials? = nil, security: LinkSecurity, board: LinkBoard,
    versions: ProtocolVersions, limits: MessageLimiter.Limits
  ) throws {
    limiter = MessageLimiter(limits)
    self.versions = versions
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
    pauses.begin(at: monitor.takeStarved(), of: socket, now: now)
    var bytes = 0
    for _ in 0..<Self.messagesPerTurn where bytes < Self.bytesPerTurn {
      guard message.receive(from: socket) else {
        // All that closed connections had sent is taken.
        endClosed(into: &events)
        return
      }
      guard message.count > 1 else { continue }
      let size = message.bytes(1).count + (message.count > 2 ? message.bytes(2).count : 0)
      bytes += size
      let route = Route(message.bytes(0))
      let link = links.index(forKey: route).flatMap { isFrom(links.values[$0]) ? $0 : nil }
      guard let sender = sender(link), isTaken(from: sender, at: route, now: now) else { continue }
      if message.count == 2, let link, let token = HeartbeatCodec.ping(message.bytes(1)) {
        limiter.took(messages: 1, bytes: size, from: sender)
        links.values[link].hear(now: now)
        heartbeats.append((route, token))
        continue
      }
      guard let frames = try? frames() else {
        // An admitted peer that sends garbage is broken or hostile: its link ends here.
        end(route, into: &events)
        continue
      }
      limiter.took(messages: frames.count, bytes: size, from: sender)
      if let link, frames.count == 1, case .packet(let packet) = frames[0] {
        // Nearly every message: whose link this is has been looked up.
        links.values[link].hear(now: now)
        events.append(.packet(links.values[link].id, packet))
        continue
      }
      descriptor = links.index(forKey: route) == nil ? message.descriptor : nil
      for frame in frames {
        handle(frame, route, now: now, nextLink: &nextLink, into: &events)
      }
    }
  }

  /// Whom the message at hand counts for; `nil` where it is of nobody.
  private func sender(_ link: Dictionary<Route, Link>.Index?) -> MessageLimiter.Sender? {
    if let link, let sender = links.values[link].sender { return sender }
    let peer = link.map { links.values[$0].principal } ?? userID().flatMap { PeerID($0) }
    guard let peer else { return nil }
    let sender = limiter.sender(peer, at: message.origin)
    if let link { links.values[link].sender = sender }
    return sender
  }

  /// False where a peer has sent more than it may; it is told so now and then.
  private func isTaken(
    from sender: MessageLimiter.Sender, at route: Route, now: MonotonicTime
  ) -> Bool {
    guard case .dropped(let isNews) = limiter.verdict(on: sender, now: now) else { return true }
    if isNews {
      refuse(route, MessageLimiter.refusal)
      board.isLimited(sender.peer)
    }
    return false
  }

  private func frames() throws -> [Frame] {
    try FrameCodec.decode(
      message.bytes(1), tail: message.count > 2 ? Array(message.bytes(2)) : nil)
  }

  /// How many heartbeats wait for their answers until `flush`.
  var heartbeatCount: Int { heartbeats.count }

  func send(_ packet: Packet, over link: MeshEngine.LinkID) {
    guard let route = routes[link] else { return }
    put(.packet(packet), into: route)
  }

  /// Hands everything that waits to libzmq.
  func flush() {
    answerHeartbeats()
    guard !unsent.isEmpty else { return }
    for route in unsent.take() {
      links[route]?.outbox.flush { [socket] message in
        socket.send(route, more: true) && socket.send(message)
      }
      if links[route]?.outbox.isEmpty == false { unsent.append(route) }
    }
  }

  private func answerHeartbeats() {
    guard !heartbeats.isEmpty else { return }
    for (route, token) in heartbeats {
      let isSent = HeartbeatCodec.withPong(token: token) { [socket] pong in
        socket.send(route, more: true) && socket.send(pong)
      }
      // With what else waits for that link.
      if !isSent { put(.pong(token: token), into: route) }
    }
    heartbeats.removeAll(keepingCapacity: true)
  }

  func put(_ frame: Frame, into route: Route) {
    guard let index = links.index(forKey: route) else { return }
    if links.values[index].outbox.isEmpty { unsent.append(route) }
    links.values[index].outbox.append(frame)
  }

  /// Ends links that were silent too long, or whose certificate is over: the peer shows a fresh one
  /// when it dials again.
  func sweep(now: MonotonicTime, into events: inout [Event]) {
    newcomers.sweep(now)
    pauses.end(of: socket, now: now)
    let moment = credentials?.now()
    var heard: [PeerID: MonotonicTime] = [:]
    var acknowledged: [PeerID: MonotonicTime] = [:]
    for (route, link) in links {
      let isOver = moment.map { $0 >= link.goodUntil ?? .infinity } ?? false
      let silence = now - link.lastHeard
      let age = link.isQuiet(for: silence) ? Self.acknowledgementAge(link.descriptor) : nil
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
  func note(_ descriptor: Int32, of route: Route, into events: inout [Event]) {
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

  /// Whom the message at hand is from.
  func userID() -> String? {
    switch security {
    case .curve: message.userID
    case .plaintextForBenchmark: String(decoding: message.bytes(0).dropFirst(), as: UTF8.self)
    }
  }

  /// True where the message at hand, which came over a link's route, is from whom the link is to.
  private func isFrom(_ link: Link) -> Bool {
    switch security {
    case .curve: message.isFrom(link.userID)
    case .plaintextForBenchmark: true
    }
  }

  private func handle(
    _ frame: Frame, _ route: Route, now: MonotonicTime,
    nextLink: inout MeshEngine.LinkID, into events: inout [Event]
  ) {
    if case .hello = frame {
      greet(frame, route, now: now, nextLink: &nextLink, into: &events)
      return
    }
    // Anything but a greeting counts only on a connection that has greeted.
    guard let index = links.index(forKey: route), isFrom(links.values[index]) else {
      if case .packet(let packet) = frame, let userID = userID() {
        _ = newcomers.keep(packet, from: route, userID: userID)
      }
      return
    }
    links.values[index].hear(now: now)
    switch frame {
    case .packet(let packet): events.append(.packet(links.values[index].id, packet))
    case .ping(let token): put(.pong(token: token), into: route)
    case .hello, .welcome, .refusal, .pong: return
    }
  }

  func end(
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
