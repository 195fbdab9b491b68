internal import IorunCore
internal import IorunWire

/// A session whose packets pass third processes. These prove nothing by the link over which they come,
/// so only two things count: a seal that opens, and an `accept` whose proof fits. Whatever else is said
/// sets off a question and ends nothing, and no payload leaves before the other side has proved itself.
extension Session {
  /// Whose process the other side is, where it proved its keys.
  var principal: PeerID? {
    guard case .established = phase, let greeting = seal?.greeting else { return nil }
    return MeshIdentity.principal(of: greeting, at: remote)
  }

  /// What takes the place of a packet of ours on a way through others; `nil` where it must not go.
  mutating func carried(_ packet: Packet) -> Packet? {
    switch packet.kind {
    case .open, .reset, .unreachable, .sealed: return packet
    case .accept:
      guard let proof = seal?.proof(), !proof.isEmpty else { return nil }
      var packet = packet
      packet.greeting?.proof = proof
      return packet
    case .data, .acknowledge: return seal?.seal(packet)
    }
  }

  /// Takes a packet that others carried. The caller has checked that its source is `remote`, and the
  /// key of its greeting.
  mutating func receiveCarried(
    _ packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    let isForUs = packet.destinationIncarnation == incarnation
    switch packet.kind {
    case .open:
      guard isForUs || packet.destinationIncarnation == 0 else {
        actions.append(.transmit(Self.reset(answering: packet)))
        return
      }
      wasAsked(by: packet, now: now, into: &actions)
    case .accept:
      guard isForUs else { return }
      wasAnswered(by: packet, now: now, into: &actions)
    case .sealed:
      guard isForUs else {
        actions.append(.transmit(Self.reset(answering: packet)))
        return
      }
      open(packet, now: now, into: &actions)
    case .reset:
      // True or not: who is there answers with a proof.
      if isForUs, packet.sourceIncarnation == remoteIncarnation {
        challenge(now: now, into: &actions)
      }
    case .unreachable, .data, .acknowledge: return
    }
  }

  private mutating func wasAsked(
    by packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard let greeting = packet.greeting else { return }
    switch phase {
    case .opening(let since, let retryAt):
      // Its first sealed word, or its answer to our question, will prove it.
      seal?.meet(greeting, incarnation: packet.sourceIncarnation)
      phase = .opening(since: since, retryAt: max(retryAt, now + Self.openRetry))
      actions.append(.transmit(accept(packet.sourceIncarnation)))
    case .established(packet.sourceIncarnation) where seal?.greeting == greeting:
      actions.append(.transmit(accept(packet.sourceIncarnation)))
      // An `accept` can be a copy of an old one; a seal cannot.
      actions.append(.transmit(make(.acknowledge, .control)))
    case .established:
      challenge(now: now, into: &actions)
    }
  }

  private mutating func wasAnswered(
    by packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard packet.sourceIncarnation != remoteIncarnation, let greeting = packet.greeting,
      seal?.proves(greeting, incarnation: packet.sourceIncarnation) == true
    else { return }
    guard case .opening = phase else {
      actions.append(.lost(lostError("restarted")))
      return
    }
    seal?.meet(greeting, incarnation: packet.sourceIncarnation)
    establish(packet.sourceIncarnation, now: now)
    // Proves us to the other side, whether or not there is anything to send.
    actions.append(.transmit(make(.acknowledge, .control)))
    flushAll(now: now, into: &actions)
  }

  private mutating func open(
    _ packet: Packet, now: MonotonicTime, into actions: inout [Action]
  ) {
    guard let inner = seal?.open(packet) else {
      // From a run of the other side that we have not met, or made up.
      if packet.sourceIncarnation != remoteIncarnation { challenge(now: now, into: &actions) }
      return
    }
    if remoteIncarnation == nil {
      establish(packet.sourceIncarnation, now: now)
      flushAll(now: now, into: &actions)
    }
    switch inner.kind {
    case .data(let sequence, let payload):
      take(sequence, payload, of: inner, now: now, into: &actions)
    case .acknowledge:
      heard(now)
      acknowledge(inner, now: now, into: &actions)
    case .open, .accept, .reset, .unreachable, .sealed: return
    }
  }

  /// Asks whoever is there now, at most once in `openRetry`.
  private mutating func challenge(now: MonotonicTime, into actions: inout [Action]) {
    if let challengedAt, now - challengedAt < Self.openRetry { return }
    challengedAt = now
    var question = make(.open, .control)
    question.destinationIncarnation = 0
    actions.append(.transmit(question))
  }

  private func accept(_ remoteIncarnation: UInt64) -> Packet {
    var packet = make(.accept, .control)
    packet.destinationIncarnation = remoteIncarnation
    return packet
  }
}
