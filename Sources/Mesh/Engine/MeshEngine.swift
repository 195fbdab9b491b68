internal import IorunCore
internal import IorunWire

/// The whole mesh protocol of one process as a value: links come and go, packets are checked,
/// delivered or forwarded, sessions keep their promises. I/O and clocks are outside.
struct MeshEngine: Sendable {
  /// One connection to an adjacent process, named by whoever owns the sockets.
  typealias LinkID = UInt64

  /// What the engine wants done.
  enum Action: Sendable {
    /// Send a packet over a link. A link may lose it; the session sends it again.
    case transmit(LinkID, Packet)
    /// Hand a payload to the application.
    case deliver(from: PeerID, TrafficClass, [UInt8])
    /// A peer took so many payload bytes that `send` had queued for it.
    case freed(PeerID, byteCount: Int)
    /// All calls to and from that peer's present incarnation are over.
    case peerLost(PeerID, IorunError)
    /// The process at an address that others carry packets for proved whose it is.
    case identified(PeerID, principal: PeerID)
  }

  let local: PeerID
  /// The adjacent peer that knows the way to everybody else: a node's head, an executor's agent.
  let uplink: PeerID?

  /// What this process proves to peers that others carry its packets to; without it, none are.
  private let identity: MeshIdentity?
  private var links = LinkTable()
  private var relays = RelayTable()
  private var sessions: [PeerID: Session] = [:]
  private var deadlines = DeadlineQueue<PeerID>()
  private var nextIncarnation: UInt64
  private var spare: [Session.Action] = []
  /// Packets dropped because their source may not speak on their link, or may not be relayed.
  private(set) var refusedPackets = 0

  /// - Parameter incarnation: the first session's; drawn at random, so that no other run of this
  ///   process comes near it.
  init(
    local: PeerID, incarnation: UInt64, uplink: PeerID?, identity: MeshIdentity? = nil
  ) {
    self.local = local
    self.identity = identity
    nextIncarnation = incarnation
    self.uplink = uplink
    if let uplink { links.setCarrier(uplink, true) }
  }

  /// The earliest time at which `tick` has something to do.
  var deadline: MonotonicTime? { deadlines.first }

  /// The smoothed round trip to a peer, once one was measured.
  func roundTrip(to peer: PeerID) -> Duration? { sessions[peer]?.roundTrip }

  /// True where a peer has a link or a session.
  func knows(_ peer: PeerID) -> Bool { links.link(to: peer) != nil || sessions[peer] != nil }

  /// True where a link to that adjacent peer is up.
  func hasLink(to peer: PeerID) -> Bool { links.link(to: peer) != nil }

  /// True where a peer that answers has not yet acknowledged something.
  var hasUnacknowledged: Bool { sessions.values.contains(where: \.hasUnacknowledged) }

  /// Replaces what this process relays between other peers.
  mutating func setRelays(_ table: RelayTable) { relays = table }

  /// Says whether an adjacent peer may carry packets between this process and others, as the uplink
  /// may: a relay that was dialled for that.
  mutating func setCarrier(_ peer: PeerID, _ isCarrier: Bool) {
    guard peer != uplink else { return }
    links.setCarrier(peer, isCarrier)
  }

  /// Names the carrier through which a peer is reached while it has no link of its own; `nil` leaves
  /// it to the relay table and the uplink.
  mutating func setCarrier(
    _ carrier: PeerID?, of peer: PeerID, now: MonotonicTime, into actions: inout [Action]
  ) {
    let before = path(to: peer)
    links.setCarrier(carrier, of: peer)
    if let path = path(to: peer), path != before { resume([peer], now: now, into: &actions) }
  }

  /// A link to an authenticated peer is up. It is used from now on, whatever other ways there are:
  /// what was on its way over them is sent again, and arrives once.
  mutating func linkUp(
    _ link: LinkID, peer: PeerID, now: MonotonicTime, into actions: inout [Action]
  ) {
    links.add(link, to: peer)
    resume(served(by: peer).filter { path(to: $0) == link }, now: now, into: &actions)
  }

  /// Asks the peer at the other end of a link that is not up yet who it is, so that its answer comes
  /// with the link's welcome. A link that never comes up loses the question.
  mutating func open(
    _ peer: PeerID, over link: LinkID, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard sessions.index(forKey: peer) == nil else { return }
    begin(with: peer, now: now)
    update(peer, into: &actions) { session, actions in session.tick(now: now, into: &actions) }
    if let question = sessions[peer]?.question { actions.append(.transmit(link, question)) }
  }

  /// A link is gone. Whoever can be reached another way hears at once what may be lost.
  mutating func linkDown(_ link: LinkID, now: MonotonicTime, into actions: inout [Action]) {
    guard let peer = links.peer(at: link) else { return }
    let affected = served(by: peer).filter { path(to: $0) == link }
    _ = links.remove(link)
    resume(affected.filter { path(to: $0) != nil }, now: now, into: &actions)
  }

  /// Queues a payload for a peer.
  mutating func send(
    _ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass, now: MonotonicTime,
    into actions: inout [Action]
  ) {
    send([payload], to: peer, in: trafficClass, now: now, into: &actions)
  }

  /// Queues payloads of one class for a peer, in their order.
  mutating func send(
    _ payloads: [[UInt8]], to peer: PeerID, in trafficClass: TrafficClass, now: MonotonicTime,
    into actions: inout [Action]
  ) {
    guard peer != local else {
      for payload in payloads {
        actions.append(.deliver(from: local, trafficClass, payload))
        actions.append(.freed(local, byteCount: payload.count))
      }
      return
    }
    let isNew = sessions.index(forKey: peer) == nil
    if isNew {
      begin(with: peer, now: now)
    }
    update(peer, into: &actions) { session, actions in
      session.send(payloads, in: trafficClass, now: now, into: &actions)
      if isNew { session.tick(now: now, into: &actions) }
    }
  }

  /// The application is done with so many bytes from a peer.
  mutating func consumed(
    _ byteCount: Int, from peer: PeerID, in trafficClass: TrafficClass, now: MonotonicTime
  ) {
    guard let index = sessions.index(forKey: peer) else { return }
    sessions.values[index].consumed(byteCount, in: trafficClass, now: now)
    deadlines.note(peer, at: sessions.values[index].deadline)
  }

  /// A packet came over a link: it is for us, for someone behind us, or refused.
  mutating func receive(
    _ packet: Packet, over link: LinkID, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard let adjacent = links.peer(at: link) else { return }
    let isCarrier = links.isCarrier(adjacent)
    guard packet.source != local,
      packet.source == adjacent || isCarrier || relays.isBehind(packet.source, adjacent)
    else {
      refusedPackets += 1
      return
    }
    if packet.destination == local {
      // Whoever lives behind another peer is relayed to its group and has no business with us: a
      // peer that vouches for others must not be able to speak to us as one of them.
      guard packet.source == adjacent || isCarrier else {
        refusedPackets += 1
        return
      }
      if packet.source == adjacent {
        receiveLocally(packet, now: now, into: &actions)
      } else {
        receiveCarried(packet, now: now, into: &actions)
      }
    } else {
      forward(packet, cameOver: link, into: &actions)
    }
  }

  /// Does what is due in every session.
  mutating func tick(now: MonotonicTime, into actions: inout [Action]) {
    for peer in deadlines.takeDue(now) {
      update(peer, into: &actions) { session, actions in
        session.tick(now: now, into: &actions)
      }
    }
  }

  /// Sends every acknowledgement that waits.
  mutating func acknowledgeNow(into actions: inout [Action]) {
    for peer in Array(sessions.keys) {
      update(peer, into: &actions) { session, actions in
        session.acknowledgeNow(into: &actions)
      }
    }
  }

  /// Ends the session with a peer that the application knows to be gone.
  mutating func forget(_ peer: PeerID) {
    sessions[peer] = nil
    deadlines.forget(peer)
  }

  private mutating func receiveLocally(
    _ packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    let peer = packet.source
    if sessions.index(forKey: peer) == nil {
      switch packet.kind {
      case .open where packet.destinationIncarnation == 0:
        begin(with: peer, now: now)
      case .open, .data, .acknowledge, .sealed:
        // The other side remembers a session that this side does not have.
        transmit(Session.reset(answering: packet), into: &actions)
        return
      case .accept, .reset, .unreachable: return
      }
    }
    let wasLost = update(peer, into: &actions) { session, actions in
      session.receive(packet, now: now, into: &actions)
    }
    // A new incarnation says hello: the old session is over, and a new one begins with it.
    if wasLost, case .open = packet.kind {
      receiveLocally(packet, now: now, into: &actions)
    }
  }

  /// A packet for this process that a carrier brought: the carrier proves nothing of its source.
  private mutating func receiveCarried(
    _ packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    let peer = packet.source
    if let greeting = packet.greeting,
      MeshIdentity.principal(of: greeting, at: peer) == nil
    {
      refusedPackets += 1
      return
    }
    switch packet.kind {
    case .data, .acknowledge:
      // Nothing that others carried counts unsealed.
      refusedPackets += 1
      return
    case .open, .accept, .sealed, .reset, .unreachable: break
    }
    if sessions.index(forKey: peer) == nil {
      switch packet.kind {
      case .open where packet.destinationIncarnation == 0 && packet.greeting != nil:
        begin(with: peer, now: now)
      case .open, .sealed:
        transmit(Session.reset(answering: packet), into: &actions)
        return
      case .accept, .reset, .unreachable, .data, .acknowledge: return
      }
    }
    let wasKnown = sessions[peer]?.remoteIncarnation != nil
    let wasLost = update(peer, into: &actions) { session, actions in
      session.receiveCarried(packet, now: now, into: &actions)
    }
    if wasLost {
      // It restarted and waits for an answer: a new session tells it who is here.
      begin(with: peer, now: now)
      update(peer, into: &actions) { session, actions in session.tick(now: now, into: &actions) }
    } else if !wasKnown, let principal = sessions[peer]?.principal, principal != peer {
      // Before what it delivered in this very step.
      let step = actions.firstIndex { if case .deliver(peer, _, _) = $0 { true } else { false } }
      actions.insert(.identified(peer, principal: principal), at: step ?? actions.endIndex)
    }
  }

  private mutating func begin(with peer: PeerID, now: MonotonicTime) {
    // 0 stands for an unknown incarnation.
    if nextIncarnation == 0 { nextIncarnation = 1 }
    let seal = identity.flatMap {
      try? SessionSeal(identity: $0, local: local, remote: peer, incarnation: nextIncarnation)
    }
    sessions[peer] = Session(
      local: local, remote: peer, incarnation: nextIncarnation, now: now, seal: seal)
    deadlines.note(peer, at: now)
    nextIncarnation &+= 1
  }

  private mutating func forward(
    _ packet: Packet, cameOver link: LinkID, into actions: inout [Action]
  ) {
    guard relays.mayRelay(from: packet.source, to: packet.destination) else {
      refusedPackets += 1
      return
    }
    guard let next = path(to: packet.destination), next != link else {
      // Data is sent again by its session; only the first words need an answer.
      if case .open = packet.kind { actions.append(.transmit(link, unreachable(packet))) }
      return
    }
    actions.append(.transmit(next, packet))
  }

  /// The best way there is: a link of its own, the carrier that was named for it, whoever it lives
  /// behind, the uplink.
  private func path(to peer: PeerID) -> LinkID? {
    if let link = links.link(to: peer) { return link }
    if let carrier = links.carrier(of: peer), let link = links.link(to: carrier) { return link }
    if let adjacent = relays.adjacent(to: peer) { return links.link(to: adjacent) }
    return uplink.flatMap { links.link(to: $0) }
  }

  /// The peers with a session whose packets may go to that adjacent peer.
  private func served(by adjacent: PeerID) -> [PeerID] {
    guard adjacent == uplink || links.leadsOn(adjacent) || relays.hasPeers(behind: adjacent) else {
      // The rule at a head with thousands of peers, which must not look at all for each.
      return sessions.index(forKey: adjacent) == nil ? [] : [adjacent]
    }
    return Array(sessions.keys)
  }

  private mutating func resume(
    _ peers: [PeerID], now: MonotonicTime, into actions: inout [Action]
  ) {
    for peer in peers {
      update(peer, into: &actions) { session, actions in
        session.pathIsBack(now: now, into: &actions)
      }
    }
  }

  /// Runs a session's step and carries its actions on; true where the session ended by it.
  @discardableResult
  private mutating func update(
    _ peer: PeerID, into actions: inout [Action],
    _ step: (inout Session, inout [Session.Action]) -> Void
  ) -> Bool {
    guard let index = sessions.index(forKey: peer) else { return false }
    // Its memory is used again by the next step.
    var sessionActions = spare.take()
    // In place: a copy would copy the queues.
    step(&sessions.values[index], &sessionActions)
    deadlines.note(peer, at: sessions.values[index].deadline)
    var isLost = false
    for action in sessionActions {
      switch action {
      case .transmit(let packet): transmit(packet, into: &actions)
      case .deliver(let trafficClass, let payload):
        actions.append(.deliver(from: peer, trafficClass, payload))
      case .freed(let byteCount): actions.append(.freed(peer, byteCount: byteCount))
      case .lost(let error):
        forget(peer)
        isLost = true
        actions.append(.peerLost(peer, error))
      }
    }
    sessionActions.removeAll(keepingCapacity: true)
    spare = sessionActions
    return isLost
  }

  private mutating func transmit(_ packet: Packet, into actions: inout [Action]) {
    let remote = packet.destination
    guard let link = path(to: remote) else { return }
    if links.peer(at: link) == remote {
      actions.append(.transmit(link, packet))
    } else if let index = sessions.index(forKey: remote) {
      guard let packet = sessions.values[index].carried(packet) else { return }
      actions.append(.transmit(link, packet))
    } else if case .reset = packet.kind {
      actions.append(.transmit(link, packet))
    }
  }

  private func unreachable(_ packet: Packet) -> Packet {
    Packet(
      source: packet.destination, destination: packet.source, sourceIncarnation: 0,
      destinationIncarnation: packet.sourceIncarnation, kind: .unreachable,
      trafficClass: .control)
  }
}
