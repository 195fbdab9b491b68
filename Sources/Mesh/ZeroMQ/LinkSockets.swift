internal import CZeroMQ
internal import IorunCore
internal import IorunWire

/// The sockets of one endpoint: diallers and acceptors, and which of them holds which link. Moves to
/// the I/O thread with its loop.
final class LinkSockets {
  /// What happened to links, whoever holds them.
  enum Event {
    /// Bytes may be sent to a dialled peer; whether it admits us is not known yet.
    case opened(MeshEngine.LinkID, PeerID)
    case dialled(MeshEngine.LinkID, PeerID)
    case accepted(MeshEngine.LinkID, address: PeerID, principal: PeerID)
    /// Somebody asks to be admitted with a ticket; `decide` answers.
    case newcomer(MeshEngine.LinkID, Newcomer, ticket: PeerID)
    case down(MeshEngine.LinkID)
    case packet(MeshEngine.LinkID, Packet)
  }

  private let identity: CurveKey
  private let instance: UInt64
  private let security: LinkSecurity
  private let board: LinkBoard
  private let versions: ProtocolVersions
  private let limits: MessageLimiter.Limits
  /// The adjacent peer that knows the way to everybody else.
  let uplink: PeerID?
  private var diallers: [PeerID: Dialler] = [:]
  private var acceptors: [UInt64: Acceptor] = [:]
  private var owners: [MeshEngine.LinkID: any LinkOwner] = [:]
  private var nextListener: UInt64 = 0
  private var nextLink: MeshEngine.LinkID = 0
  // Reused from turn to turn.
  private var dialled: [Dialler.Event] = []
  private var accepted: [Acceptor.Event] = []

  init(
    identity: CurveKey, instance: UInt64, security: LinkSecurity, uplink: MeshUplink?,
    uplinkMonitor: UplinkMonitor, board: LinkBoard, versions: ProtocolVersions,
    limits: MessageLimiter.Limits = MessageLimiter.Limits()
  ) {
    self.limits = limits
    self.versions = versions
    self.identity = identity
    self.instance = instance
    self.security = security
    self.board = board
    self.uplink = uplink.map { CurveKey.peer(of: $0.key) }
    if let uplink {
      add(
        Dialler(
          uplink, as: .carrier, telling: uplinkMonitor, identity: identity, instance: instance,
          security: security, versions: versions, limits: limits, now: EndpointLoop.now()))
    }
  }

  /// When `receive` has something to do without anything having arrived.
  var deadline: MonotonicTime? { diallers.values.lazy.map(\.deadline).min() }

  /// What is to be polled.
  func appendPollItems(to items: inout [zmq_pollitem_t]) {
    for acceptor in acceptors.values {
      Self.append(acceptor.socket, to: &items)
      Self.append(acceptor.monitor.socket, to: &items)
    }
    for dialler in diallers.values {
      Self.append(dialler.socket, to: &items)
      Self.append(dialler.monitor, to: &items)
    }
  }

  /// Opens a listener.
  ///
  /// - Throws: `addressInUse`.
  func listen(
    on addresses: [String], admits: @escaping KeyAdmission, credentials: LinkCredentials? = nil
  ) throws -> LinkListener {
    let acceptor = try Acceptor(
      addresses: addresses, identity: identity, admits: admits, credentials: credentials,
      security: security, board: board, versions: versions, limits: limits)
    nextListener += 1
    acceptors[nextListener] = acceptor
    return LinkListener(number: nextListener, addresses: acceptor.addresses)
  }

  func closeListener(_ number: UInt64, into events: inout [Event]) {
    acceptors.removeValue(forKey: number)?.close(into: &accepted)
    takeAccepted(nil, into: &events)
  }

  /// Dials a peer, unless just that is under way.
  func dial(
    _ link: MeshUplink, as purpose: LinkPurpose, telling monitor: UplinkMonitor,
    now: MonotonicTime, into events: inout [Event]
  ) {
    let peer = CurveKey.peer(of: link.key)
    if let present = diallers[peer] {
      guard peer != uplink, present.state !== monitor else { return }
      hangUp(peer, into: &events)
    }
    add(
      Dialler(
        link, as: purpose, telling: monitor, identity: identity, instance: instance,
        security: security, versions: versions, limits: limits, now: now))
  }

  func hangUp(_ peer: PeerID, into events: inout [Event]) {
    guard peer != uplink, let dialler = diallers.removeValue(forKey: peer) else { return }
    if let link = dialler.link {
      owners[link] = nil
      events.append(.down(link))
    }
    dialler.close()
    dialler.state.failed(IorunError(.unreachable, "the link was given up"))
  }

  func expel(_ principal: PeerID, into events: inout [Event]) {
    for acceptor in acceptors.values { acceptor.expel(principal, into: &accepted) }
    takeAccepted(nil, into: &events)
    hangUp(principal, into: &events)
  }

  func endLinks(to principal: PeerID, into events: inout [Event]) {
    for acceptor in acceptors.values { acceptor.endLinks(to: principal, into: &accepted) }
    takeAccepted(nil, into: &events)
  }

  /// Welcomes or refuses a newcomer.
  func decide(
    _ link: MeshEngine.LinkID, refusal: IorunError?, now: MonotonicTime,
    into events: inout [Event]
  ) {
    for acceptor in acceptors.values {
      acceptor.decide(link, refusal: refusal, now: now, into: &accepted)
      takeAccepted(acceptor, into: &events)
    }
  }

  /// How many heartbeats wait for their answers until `flush`.
  var heartbeatCount: Int { acceptors.values.reduce(0) { $0 + $1.heartbeatCount } }

  /// Takes what has arrived, and does what is due.
  func receive(now: MonotonicTime, into events: inout [Event]) {
    for acceptor in acceptors.values {
      acceptor.receive(now: now, nextLink: &nextLink, into: &accepted)
      takeAccepted(acceptor, into: &events)
    }
    for dialler in diallers.values {
      dialler.receive(now: now, into: &dialled)
      dialler.tick(now: now, nextLink: &nextLink, into: &dialled)
      takeDialled(dialler, into: &events)
    }
  }

  /// Ends links that were silent too long.
  func sweep(now: MonotonicTime, into events: inout [Event]) {
    for acceptor in acceptors.values { acceptor.sweep(now: now, into: &accepted) }
    takeAccepted(nil, into: &events)
    for dialler in diallers.values { dialler.tellRoundTrip() }
  }

  func send(_ packet: Packet, over link: MeshEngine.LinkID) {
    owners[link]?.send(packet, over: link)
  }

  func flush() {
    for acceptor in acceptors.values { acceptor.flush() }
    for dialler in diallers.values { dialler.flush() }
  }

  func close() {
    for acceptor in acceptors.values { acceptor.close(into: &accepted) }
    let ended = IorunError(.unreachable, "this process has left the mesh")
    for dialler in diallers.values {
      dialler.close()
      dialler.state.failed(ended)
    }
    acceptors = [:]
    diallers = [:]
    owners = [:]
  }

  private func add(_ dialler: Dialler) { diallers[dialler.peer] = dialler }

  private func takeDialled(_ dialler: Dialler, into events: inout [Event]) {
    for event in dialled {
      switch event {
      case .opened(let link, let peer):
        owners[link] = dialler
        events.append(.opened(link, peer))
      case .up(let link, let peer):
        dialler.state.isUp()
        events.append(.dialled(link, peer))
      case .down(let link):
        owners[link] = nil
        events.append(.down(link))
      case .packet(let link, let packet): events.append(.packet(link, packet))
      case .failed(let error): dialler.state.failed(error)
      case .warned(let error): dialler.state.warned(error)
      }
    }
    dialled.removeAll(keepingCapacity: true)
  }

  private func takeAccepted(_ acceptor: Acceptor?, into events: inout [Event]) {
    for event in accepted {
      switch event {
      case .up(let link, let address, let principal):
        owners[link] = acceptor
        events.append(.accepted(link, address: address, principal: principal))
      case .newcomer(let link, let newcomer, let ticket):
        events.append(.newcomer(link, newcomer, ticket: ticket))
      case .down(let link):
        owners[link] = nil
        events.append(.down(link))
      case .packet(let link, let packet): events.append(.packet(link, packet))
      }
    }
    accepted.removeAll(keepingCapacity: true)
  }

  private static func append(_ socket: ZMQSocket?, to items: inout [zmq_pollitem_t]) {
    guard let handle = socket?.handle else { return }
    items.append(zmq_pollitem_t(socket: handle, fd: 0, events: Int16(ZMQ_POLLIN), revents: 0))
  }
}
