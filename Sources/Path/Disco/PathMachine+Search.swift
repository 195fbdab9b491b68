internal import IorunCore

// The search itself: calls, holes, pings, and the choice of a way.
extension PathMachine {
  var isDirect: Bool {
    if case .direct = current { true } else { false }
  }

  /// There are news: what was tried in vain before does not count.
  mutating func beginAnew(now: Duration, into actions: inout [Action]) {
    tries = 0
    guard relayIsUp || !expectsRelay else {
      // The relay's first word begins it, or this time.
      nextTry = nextTry ?? now + settings.relayPatience
      return
    }
    begin(now: now, into: &actions)
  }

  /// One try: calls the peer and opens this end's NAT towards what is known of it.
  mutating func begin(now: Duration, into actions: inout [Action]) {
    tries += 1
    let index = min(tries, settings.retries.count) - 1
    nextTry = settings.retries.isEmpty ? nil : now + settings.retries[index]
    round &+= 1
    calls = 0
    scatter = nil
    scatterAt = nil
    openHoles(now: now, into: &actions)
    if relayIsUp {
      sendCall(now: now, into: &actions)
    } else {
      // Nobody to ask: the other end was told of us by the head and does the same.
      schedulePings(from: now, gap: .milliseconds(500))
    }
  }

  mutating func sendCall(now: Duration, into actions: inout [Action]) {
    calls += 1
    nextCall = now + max(settings.callRepeat, (relayRoundTrip ?? .zero) * 2)
    guard relayIsUp else { return }
    actions.append(.send(call(round, isAnswer: false), .relay, timeToLive: nil))
  }

  func call(_ number: UInt32, isAnswer: Bool) -> DiscoMessage {
    .call(round: number, isAnswer: isAnswer, natClass: ownClass, candidates: own)
  }

  /// Pings that open this end's NAT and die before the other's. What needs no hole gets a real one.
  mutating func openHoles(now: Duration, into actions: inout [Action]) {
    let hops = settings.holeTimesToLive
    let timeToLive = hops.isEmpty ? nil : hops[max(tries - 1, 0) % hops.count]
    for remote in ordered where remote.lastPong.map({ now - $0 > settings.trust }) ?? true {
      let needsNoHole = remote.candidate.kind == .host
      // Twice: where the only one is lost, the other end's pings spoil the NAT for half a minute.
      for _ in 0..<(needsNoHole ? 1 : 2) {
        ping(
          .direct(remote.candidate.address), timeToLive: needsNoHole ? nil : timeToLive,
          now: now, into: &actions)
      }
    }
  }

  mutating func schedulePings(from now: Duration, gap: Duration) {
    let offsets: [Int64] = [0, 100, 300, 700, 1500]
    pingTimes = offsets.map { now + gap + .milliseconds($0) }
    scatterAt = nil
    guard scatter == nil, tries <= 3 || tries % 4 == 0 else { return }
    let canMeet =
      (ownClass == .portRestricted && peerClass == .symmetric)
      || (ownClass == .symmetric && peerClass == .portRestricted)
    if canMeet { scatterAt = now + gap + .milliseconds(800) }
  }

  mutating func pingAll(now: Duration, into actions: inout [Action]) {
    for remote in ordered {
      ping(.direct(remote.candidate.address), now: now, into: &actions)
    }
  }

  /// Best candidates first: IPv6 is tried before IPv4.
  private var ordered: [Remote] {
    remotes.values.sorted {
      ($0.candidate.rank, $0.candidate.address) < ($1.candidate.rank, $1.candidate.address)
    }
  }

  mutating func ping(
    _ way: Way, timeToLive: Int? = nil, now: Duration, into actions: inout [Action]
  ) {
    if pending.count >= Self.pendingLimit,
      let oldest = pending.min(by: { $0.value.sentAt < $1.value.sentAt })
    {
      pending[oldest.key] = nil
    }
    let transaction = random.next()
    pending[transaction] = Pending(way: way, sentAt: now)
    actions.append(.send(.ping(transaction: transaction), way, timeToLive: timeToLive))
  }

  mutating func add(_ candidates: [Candidate]) {
    let mine = Set(own.map(\.address))
    for candidate in candidates.prefix(Candidate.limit) {
      let address = candidate.address
      guard !address.isUnusable, !mine.contains(address), remotes[address] == nil else { continue }
      if remotes.count >= Self.remoteLimit {
        // Whoever never answered makes room; those that did are kept.
        guard let stale = remotes.first(where: { $0.value.lastPong == nil }) else { return }
        remotes[stale.key] = nil
      }
      remotes[address] = Remote(candidate: candidate)
    }
  }

  /// When the ping was sent that this pong answers; `nil` where nothing waits for it.
  mutating func take(_ transaction: UInt64, by way: Way) -> Duration? {
    if let sent = pending[transaction], sent.way == way {
      pending[transaction] = nil
      return sent.sentAt
    }
    return nil
  }

  /// A guessed port was right: that address is a candidate from now on, and is pinged by itself.
  mutating func takeGuess(
    _ transaction: UInt64, by way: Way, now: Duration, into actions: inout [Action]
  ) {
    guard let running = scatter, running.transaction == transaction,
      case .direct(let address) = way, address.address == running.host.address
    else { return }
    scatter = nil
    add([Candidate(.observed, address)])
    ping(way, now: now, into: &actions)
  }

  mutating func measured(_ way: Way, _ sample: Duration, now: Duration) {
    let sample = max(sample, .zero)
    func smooth(_ old: Duration?) -> Duration { old.map { ($0 * 3 + sample) / 4 } ?? sample }
    switch way {
    case .relay:
      relayRoundTrip = smooth(relayRoundTrip)
    case .direct(let address):
      remotes[address]?.lastPong = now
      let smoothed = smooth(remotes[address]?.roundTrip)
      remotes[address]?.roundTrip = smoothed
    }
  }

  func trustEnd(_ way: Way) -> Duration? {
    guard case .direct(let address) = way, let pong = remotes[address]?.lastPong else {
      return nil
    }
    return pong + settings.trust
  }

  /// Takes the best way that has answered lately, else the relay. A new one must be clearly better
  /// than the one in use, so that two equal ways do not take turns.
  mutating func choose(now: Duration, into actions: inout [Action]) {
    var best: (way: Way, cost: Duration)?
    for remote in ordered {
      guard let pong = remote.lastPong, now - pong < settings.trust, let time = remote.roundTrip
      else { continue }
      let way = Way.direct(remote.candidate.address)
      let cost = way == current ? time * 4 / 5 - .milliseconds(1) : time
      if best.map({ cost < $0.cost }) ?? true { best = (way, cost) }
    }
    let next = best?.way ?? (relayIsUp && relayIsHeard ? .relay : nil)
    guard next != current else { return }
    let wasDirect = isDirect
    current = next
    actions.append(.use(next))
    nextHeartbeat = min(nextHeartbeat ?? now + settings.heartbeat, now + settings.heartbeat)
    if isDirect {
      tries = 0
      nextCall = nil
      pingTimes = []
      scatter = nil
      scatterAt = nil
      nextTry = now + settings.reprobe
    } else if wasDirect {
      // It broke: both ends notice for themselves, and whoever notices first calls.
      begin(now: now, into: &actions)
    }
  }

  /// Port-restricted against symmetric: one end pings guessed ports, the other opens many. With 256
  /// open ports, 1,024 guesses find one with a chance of 98 % (1 - (1 - 256/65536)^1024).
  mutating func beginScatter(now: Duration, into actions: inout [Action]) {
    guard !isDirect else { return }
    let mapped = ordered.filter { $0.candidate.kind == .mapped && $0.candidate.address.isV4 }
    guard let target = mapped.first?.candidate.address else { return }
    if ownClass == .symmetric {
      actions.append(.spread(to: target))
    } else {
      scatter = Scatter(
        host: target, transaction: random.next(), left: settings.scatterLimit,
        nextAt: now + .milliseconds(200))
    }
  }

  mutating func sendScatter(now: Duration, into actions: inout [Action]) {
    guard var running = scatter, running.nextAt <= now else { return }
    guard running.left > 0 else {
      scatter = nil
      return
    }
    for _ in 0..<min(settings.scatterBurst, running.left) {
      running.left -= 1
      let port = UInt16.random(in: 1024 ... .max, using: &random)
      let target = running.host.with(port: port)
      actions.append(
        .send(.ping(transaction: running.transaction), .direct(target), timeToLive: nil))
    }
    // Late pongs still count for a while.
    running.nextAt = now + (running.left > 0 ? .milliseconds(10) : .seconds(3))
    scatter = running
  }
}
