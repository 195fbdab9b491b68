internal import IorunCore
internal import IorunWire

/// What two peers keep of each other, end to end: who the other is this time, and three numbered
/// channels. It outlives links: a payload that a lost link took with it is sent again over the next
/// one, and is delivered once.
///
/// A pure state machine: packets, payloads and time come in, actions go out.
struct Session: Sendable {
  /// What the session wants done.
  enum Action: Sendable {
    /// Hand this packet to the path.
    case transmit(Packet)
    /// Hand this payload to the application.
    case deliver(TrafficClass, [UInt8])
    /// The other side took so many payload bytes of ours.
    case freed(Int)
    /// The session is over; what was not answered may or may not have been executed.
    case lost(IorunError)
  }

  enum Phase: Sendable {
    /// The other side's incarnation is not known yet.
    case opening(since: MonotonicTime, retryAt: MonotonicTime)
    /// Both sides know each other.
    case established(incarnation: UInt64)
  }

  /// How long to try before a peer that never answered counts as unreachable.
  static let openTimeout = Duration.seconds(10)
  /// How often `open` is repeated.
  static let openRetry = Duration.milliseconds(250)
  /// After so long without a word the other side is asked for one.
  static let probeAfter = Duration.seconds(5)
  /// After so long without a word the session is lost.
  static let lostAfter = Duration.seconds(60)

  let local: PeerID
  let remote: PeerID
  /// Unique to this session: a process that gives a session up and begins another with the same
  /// peer must not be taken for the one whose numbers the other side remembers.
  let incarnation: UInt64
  /// Protects what passes third processes; `nil` where this process has no keys, and then nothing
  /// does.
  var seal: SessionSeal?
  var phase: Phase
  /// When the other side was last asked who it is now.
  var challengedAt: MonotonicTime?
  private var channels: [Channel] = TrafficClass.allCases.map { Channel($0) }
  private var lastHeard: MonotonicTime
  private var probedAt: MonotonicTime?

  /// A session that this side starts; call `open` next.
  init(
    local: PeerID, remote: PeerID, incarnation: UInt64, now: MonotonicTime,
    seal: SessionSeal? = nil
  ) {
    self.seal = seal
    self.local = local
    self.remote = remote
    self.incarnation = incarnation
    phase = .opening(since: now, retryAt: now)
    lastHeard = now
  }

  /// The other side's incarnation, once known.
  var remoteIncarnation: UInt64? {
    guard case .established(let incarnation) = phase else { return nil }
    return incarnation
  }

  /// True where payloads were sent and not yet acknowledged.
  var hasUnacknowledged: Bool { channels.contains(where: \.hasUnacknowledged) }

  /// The smoothed round trip, once one was measured.
  var roundTrip: Duration? {
    channels.compactMap(\.roundTrip).min()
  }

  /// When `tick` has something to do.
  var deadline: MonotonicTime {
    var deadline: MonotonicTime
    switch phase {
    case .opening(_, let retryAt): deadline = retryAt
    case .established:
      deadline =
        probedAt.map { min($0 + Self.probeAfter, lastHeard + Self.lostAfter) }
        ?? lastHeard + Self.probeAfter
      for channel in channels {
        if let due = channel.deadline, due < deadline { deadline = due }
      }
    }
    return deadline
  }

  /// The packet that asks the other side who it is.
  var question: Packet { make(.open, .control) }

  /// Queues payloads and sends what may go.
  mutating func send(
    _ payloads: [[UInt8]], in trafficClass: TrafficClass, now: MonotonicTime,
    into actions: inout [Action]
  ) {
    if case .opening(_, let retryAt) = phase, !hasUnacknowledged {
      // The patience is for payloads: a session that was opened ahead of them has lost none of it.
      phase = .opening(since: now, retryAt: retryAt)
    }
    for payload in payloads { channels[trafficClass.rawValue].enqueue(payload) }
    flush(trafficClass, now: now, into: &actions)
  }

  /// The application is done with so many received bytes.
  mutating func consumed(
    _ byteCount: Int, in trafficClass: TrafficClass, now: MonotonicTime
  ) {
    channels[trafficClass.rawValue].consumed(byteCount, now: now)
  }

  /// Takes a packet that came from the other side itself, over a link that proves it. The caller has
  /// checked that its source is `remote`. What others carried goes to `receiveCarried`.
  mutating func receive(_ packet: Packet, now: MonotonicTime, into actions: inout [Action]) {
    if packet.destinationIncarnation != 0, packet.destinationIncarnation != incarnation {
      // Meant for an earlier session of these two peers.
      switch packet.kind {
      case .reset, .unreachable: return
      case .open, .accept, .data, .acknowledge, .sealed:
        actions.append(.transmit(Self.reset(answering: packet)))
        return
      }
    }
    switch packet.kind {
    case .sealed:
      // Sealed for a way through others, which then was another.
      receiveCarried(packet, now: now, into: &actions)
    case .open, .accept:
      greeted(by: packet, now: now, into: &actions)
    case .reset:
      // It names the incarnation that is gone; of any other than ours it says nothing.
      guard packet.sourceIncarnation == remoteIncarnation else { return }
      actions.append(.lost(lostError("restarted or has forgotten this session")))
    case .unreachable:
      // Someone in between has no way now. Keep trying until the deadlines above say otherwise.
      return
    case .data(let sequence, let payload):
      // While opening, `accept` may have been lost: the payload will come again after it.
      guard let known = remoteIncarnation else { return }
      guard packet.sourceIncarnation == known else {
        // From a run of the other side that we have not met: ask who is there now.
        actions.append(.transmit(make(.open, .control)))
        return
      }
      take(sequence, payload, of: packet, now: now, into: &actions)
    case .acknowledge:
      guard packet.sourceIncarnation == remoteIncarnation else { return }
      heard(now)
      acknowledge(packet, now: now, into: &actions)
    }
  }

  /// Takes a payload of the other side's present incarnation.
  mutating func take(
    _ sequence: UInt64, _ payload: [UInt8], of packet: Packet, now: MonotonicTime,
    into actions: inout [Action]
  ) {
    heard(now)
    acknowledge(packet, now: now, into: &actions)
    let index = packet.trafficClass.rawValue
    guard channels[index].receive(sequence: sequence, payload: payload, now: now) else { return }
    actions.append(.deliver(packet.trafficClass, payload))
    while let next = channels[index].takeEarly(now: now) {
      actions.append(.deliver(packet.trafficClass, next))
    }
  }

  /// The path to the other side was lost and is back.
  mutating func pathIsBack(now: MonotonicTime, into actions: inout [Action]) {
    // Asks who is there: a peer that restarted meanwhile answers with another incarnation.
    actions.append(.transmit(make(.open, .control)))
    guard case .established = phase else { return }
    probedAt = now
    for trafficClass in TrafficClass.allCases {
      channels[trafficClass.rawValue].pathIsBack()
      flush(trafficClass, now: now, into: &actions)
    }
  }

  /// Sends every acknowledgement that waits: this process is about to leave, and the other side
  /// must not wait for them.
  mutating func acknowledgeNow(into actions: inout [Action]) {
    for trafficClass in TrafficClass.allCases {
      if channels[trafficClass.rawValue].takeWaitingAcknowledgement() {
        actions.append(.transmit(make(.acknowledge, trafficClass)))
      }
    }
  }

  /// Does what is due.
  mutating func tick(now: MonotonicTime, into actions: inout [Action]) {
    switch phase {
    case .opening(let since, let retryAt):
      if now - since >= Self.openTimeout {
        actions.append(
          .lost(
            IorunError(
              .unreachable, "peer \(remote.short) did not answer within \(Self.openTimeout)",
              remedy: "Check that it runs and can reach its head")))
      } else if now >= retryAt {
        phase = .opening(since: since, retryAt: now + Self.openRetry)
        actions.append(.transmit(make(.open, .control)))
      }
    case .established:
      if now - lastHeard >= Self.lostAfter {
        actions.append(.lost(lostError("was silent for \(Self.lostAfter)")))
        return
      }
      if now - max(lastHeard, probedAt ?? lastHeard) >= Self.probeAfter {
        probedAt = now
        actions.append(.transmit(make(.open, .control)))
      }
      for trafficClass in TrafficClass.allCases {
        channels[trafficClass.rawValue].retransmitIfDue(now: now)
        flush(trafficClass, now: now, into: &actions)
        if channels[trafficClass.rawValue].takeDueAcknowledgement(now: now) {
          actions.append(.transmit(make(.acknowledge, trafficClass)))
        }
      }
    }
  }

  /// Says that the incarnation to which `packet` was addressed is not there (any more).
  static func reset(answering packet: Packet) -> Packet {
    Packet(
      source: packet.destination, destination: packet.source,
      sourceIncarnation: packet.destinationIncarnation,
      destinationIncarnation: packet.sourceIncarnation, kind: .reset, trafficClass: .control)
  }

  private mutating func greeted(
    by packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    if let known = remoteIncarnation, known != packet.sourceIncarnation {
      actions.append(.lost(lostError("restarted")))
      return
    }
    if let greeting = packet.greeting,
      MeshIdentity.principal(of: greeting, at: remote) != nil
    {
      seal?.meet(greeting, incarnation: packet.sourceIncarnation)
    }
    let isNew = remoteIncarnation == nil
    establish(packet.sourceIncarnation, now: now)
    if case .open = packet.kind { actions.append(.transmit(make(.accept, .control))) }
    if isNew { flushAll(now: now, into: &actions) }
  }

  /// The other side is known, and proved who it is.
  mutating func establish(_ incarnation: UInt64, now: MonotonicTime) {
    heard(now)
    phase = .established(incarnation: incarnation)
  }

  /// Sends what waits and may go.
  mutating func flushAll(now: MonotonicTime, into actions: inout [Action]) {
    for trafficClass in TrafficClass.allCases {
      flush(trafficClass, now: now, into: &actions)
    }
  }

  mutating func heard(_ now: MonotonicTime) {
    lastHeard = now
    probedAt = nil
  }

  mutating func acknowledge(
    _ packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    let isAlone = if case .acknowledge = packet.kind { true } else { false }
    let freed = channels[packet.trafficClass.rawValue].acknowledged(
      packet.acknowledged, credit: packet.creditLimit, isAlone: isAlone, now: now)
    if freed > 0 { actions.append(.freed(freed)) }
    flush(packet.trafficClass, now: now, into: &actions)
  }

  private mutating func flush(
    _ trafficClass: TrafficClass, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard case .established = phase else { return }
    for (sequence, payload) in channels[trafficClass.rawValue].takeSendable(now: now) {
      actions.append(
        .transmit(make(.data(sequence: sequence, payload: payload), trafficClass)))
    }
  }

  func make(_ kind: Packet.Kind, _ trafficClass: TrafficClass) -> Packet {
    let index = trafficClass.rawValue
    let greeting: SessionGreeting? =
      switch kind {
      case .open, .accept: seal?.ourGreeting
      case .data, .acknowledge, .reset, .unreachable, .sealed: nil
      }
    // The first `open` asks whoever is there and names no incarnation; later ones ask for the other
    // side of this very session.
    return Packet(
      source: local, destination: remote, sourceIncarnation: incarnation,
      destinationIncarnation: remoteIncarnation ?? 0, kind: kind, trafficClass: trafficClass,
      acknowledged: channels[index].received, creditLimit: channels[index].announcedCredit,
      greeting: greeting)
  }

  func lostError(_ reason: String) -> IorunError {
    IorunError(
      .peerLost, "peer \(remote.short) \(reason)",
      remedy: "The call may or may not have run: check before you repeat it")
  }
}
