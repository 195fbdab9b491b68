internal import IorunCore
internal import IorunCrypto

/// WireGuard without its packets of data: handshakes, cookies and timers as a value. Events go in
/// with the time, actions come out. Times are since any fixed moment, for example the machine's
/// start.
///
/// Unlike other implementations it keeps an initiation of its own and one of the peer's apart: where
/// both sides begin at once, each finishes both, and nobody waits for a second try.
struct WireGuardMachine {
  /// This side's key.
  let local: X25519
  private var peers: [Int: PeerState] = [:]
  private var numbers: [TunnelPublicKey: Int] = [:]
  private var owners: [UInt32: Int] = [:]
  private var checker: CookieChecker
  private var limiter = SourceLimiter()
  private var early = EarlyInitiations()
  private let random: @Sendable (Int) throws -> [UInt8]
  /// The last timestamp sent, which only grows, whatever the clock does.
  private var lastTimestamp: [UInt8] = []

  /// Makes a machine without peers. Throws `identityUnusable` for a key that is none.
  ///
  /// - Parameter random: draws so many random bytes.
  init(
    key: TunnelPrivateKey,
    random: @escaping @Sendable (Int) throws -> [UInt8] = { try SecureRandom.bytes($0) }
  ) throws {
    local = try X25519(secretKey: key.bytes)
    checker = CookieChecker(key: TunnelPublicKey(unchecked: local.publicKey))
    self.random = random
  }

  // MARK: peers

  /// The number of the peer with that key.
  func number(of key: TunnelPublicKey) -> Int? { numbers[key] }
  /// What was asked for, by number.
  var configured: [Int: TunnelPeer] { peers.mapValues(\.peer) }
  /// When the keys in use were made.
  func keysMade(_ number: Int) -> Duration? { peers[number]?.keysMade }

  /// Adds a peer under a number, or takes what changed of it. Throws `malformed` for a key with
  /// which no secret can be shared, `specInvalid` for our own.
  mutating func set(_ peer: TunnelPeer, number: Int) throws {
    guard peer.publicKey.bytes != local.publicKey else {
      throw IorunError(.specInvalid, "a tunnel's peer has the tunnel's own key")
    }
    if peers[number]?.peer.publicKey == peer.publicKey {
      peers[number]?.peer = peer
      return
    }
    peers[number] = PeerState(
      peer: peer, staticSecret: try local.agree(with: peer.publicKey.bytes),
      jar: CookieJar(key: peer.publicKey))
    numbers[peer.publicKey] = number
  }

  /// Forgets a peer.
  mutating func remove(_ number: Int) {
    guard let state = peers.removeValue(forKey: number) else { return }
    numbers[state.peer.publicKey] = nil
    for index in state.indexes { owners[index] = nil }
  }

  // MARK: messages

  /// Takes a message that is not data. Whatever is wrong with it is answered by silence.
  ///
  /// - Parameters:
  ///   - datagram: its bytes.
  ///   - source: where it came from.
  ///   - isUnderLoad: whether senders must prove their address before we work for them.
  ///   - now: the time.
  mutating func receive(
    _ datagram: [UInt8], from source: TunnelEndpoint, isUnderLoad: Bool, now: Duration
  ) -> [WireGuardAction] {
    guard let message = HandshakeMessage(datagram) else { return [] }
    switch message {
    case .cookie(let reply):
      guard let number = owners[reply.receiver] else { return [] }
      _ = peers[number]?.jar.take(reply, now: now)
      return []
    case .initiation(let initiation):
      if let refusal = refusal(
        of: datagram, sender: initiation.sender, source, isUnderLoad: isUnderLoad, now: now)
      {
        return refusal
      }
      return (try? take(initiation, from: source, now: now)) ?? []
    case .response(let response):
      if let refusal = refusal(
        of: datagram, sender: response.sender, source, isUnderLoad: isUnderLoad, now: now)
      {
        return refusal
      }
      return take(response, from: source, now: now)
    }
  }

  /// What to do with a message that is not to be worked on; `nil` where it is.
  private mutating func refusal(
    of datagram: [UInt8], sender: UInt32, _ source: TunnelEndpoint, isUnderLoad: Bool,
    now: Duration
  ) -> [WireGuardAction]? {
    guard checker.isFirstValid(datagram) else { return [] }
    guard isUnderLoad else { return nil }
    let place = source.proofBytes
    guard checker.isSecondValid(datagram, source: place, now: now) else {
      let random = random
      let reply = try? checker.reply(
        to: datagram, sender: sender, source: place, now: now, random: { try random($0) })
      return reply.map { [.answer($0.bytes, to: source)] } ?? []
    }
    return limiter.allows(source.address.ip.bytes, now: now) ? nil : []
  }

  private mutating func take(
    _ message: HandshakeMessage.Initiation, from source: TunnelEndpoint, now: Duration
  ) throws -> [WireGuardAction] {
    guard let received = NoiseHandshake.receive(message, as: local) else { return [] }
    guard let number = numbers[received.peer] else {
      early.keep(received, from: source, now: now)
      return []
    }
    return try answer(received, number: number, from: source, now: now)
  }

  private mutating func answer(
    _ received: NoiseHandshake.Received, number: Int, from source: TunnelEndpoint, now: Duration
  ) throws -> [WireGuardAction] {
    var received = received
    guard var state = peers[number],
      let timestamp = NoiseHandshake.timestamp(
        of: &received, staticSecret: state.staticSecret),
      state.lastTimestamp.lexicographicallyPrecedes(timestamp),
      state.consumed.map({ now - $0 >= WireGuardTimes.initiationInterval }) ?? true
    else { return [] }
    state.lastTimestamp = timestamp
    state.consumed = now
    let index = try freeIndex()
    let (response, keys) = try NoiseHandshake.respond(
      to: received, ephemeral: X25519(secretKey: random(X25519.byteCount)),
      presharedKey: state.peer.psk, sender: index)
    state.keysMade = now
    state.handshakeSeen = now
    state.wantedSince = nil
    // The packet that proves the new key is on its way: no handshake of our own meanwhile.
    state.initiated = now
    own(index, number, &state)
    let signed = state.jar.sign(response.body, now: now)
    peers[number] = state
    let session = WireGuardSession(
      send: keys.send, receive: keys.receive, localIndex: index, remoteIndex: received.sender,
      created: now, isInitiator: false)
    return [
      .follow(source, peer: number), .install(session, peer: number),
      .answer(signed, to: source),
    ]
  }

  private mutating func take(
    _ message: HandshakeMessage.Response, from source: TunnelEndpoint, now: Duration
  ) -> [WireGuardAction] {
    guard let number = owners[message.receiver], var state = peers[number],
      let pending = state.pending, pending.index == message.receiver,
      let keys = pending.noise.finish(
        message, as: local, ephemeral: pending.ephemeral, presharedKey: state.peer.psk)
    else { return [] }
    state.pending = nil
    state.attempt = nil
    state.keysMade = now
    state.handshakeSeen = now
    state.unansweredSince = nil
    state.wantedSince = nil
    peers[number] = state
    let session = WireGuardSession(
      send: keys.send, receive: keys.receive, localIndex: pending.index,
      remoteIndex: message.sender, created: now, isInitiator: true)
    return [.follow(source, peer: number), .install(session, peer: number)]
  }

  // MARK: what the packets want

  /// There is a packet for a peer and no key, or one that is too old.
  mutating func wantKey(_ number: Int, now: Duration, wallClock: Duration) -> [WireGuardAction] {
    guard let state = peers[number], state.attempt == nil else { return [] }
    if !state.peer.startsHandshakes {
      let since = state.wantedSince ?? now
      peers[number]?.wantedSince = since
      if now - since < WireGuardTimes.restraint { return [] }
    }
    return begin(number, now: now, wallClock: wallClock)
  }

  /// The peer was set. What it sent before that is answered now. One that is to be kept alive gets
  /// its first key at once, and not only when `tick` finds that nothing has been sent to it.
  mutating func greet(_ number: Int, now: Duration, wallClock: Duration) -> [WireGuardAction] {
    guard let key = peers[number]?.peer.publicKey else { return [] }
    for initiation in early.take(of: key, now: now) {
      let actions =
        (try? answer(initiation.received, number: number, from: initiation.source, now: now)) ?? []
      if !actions.isEmpty { return actions }
    }
    guard let state = peers[number], state.peer.keepalive != nil, state.keysMade == nil else {
      return []
    }
    return wantKey(number, now: now, wallClock: wallClock)
  }

  /// Makes a new key now, unless that is being tried already.
  mutating func rekey(_ number: Int, now: Duration, wallClock: Duration) -> [WireGuardAction] {
    guard peers[number]?.attempt == nil else { return [] }
    peers[number]?.initiated = nil
    return begin(number, now: now, wallClock: wallClock)
  }

  /// The peer is somewhere else now, or may be: if a handshake is under way, its message goes there
  /// at once.
  mutating func endpointChanged(
    _ number: Int, now: Duration, wallClock: Duration
  ) -> [WireGuardAction] {
    guard peers[number]?.attempt != nil else { return [] }
    return initiate(number, now: now, wallClock: wallClock)
  }

  private mutating func begin(
    _ number: Int, now: Duration, wallClock: Duration
  ) -> [WireGuardAction] {
    guard let state = peers[number],
      state.initiated.map({ now - $0 >= WireGuardTimes.rekeyTimeout }) ?? true
    else { return [] }
    peers[number]?.attempt = PeerState.Attempt(started: now, next: now)
    return initiate(number, now: now, wallClock: wallClock)
  }

  private mutating func initiate(
    _ number: Int, now: Duration, wallClock: Duration
  ) -> [WireGuardAction] {
    guard var state = peers[number], let index = try? freeIndex(),
      let ephemeral = try? X25519(secretKey: random(X25519.byteCount)),
      let (noise, message) = try? NoiseHandshake.initiate(
        as: local, to: state.peer.publicKey, staticSecret: state.staticSecret,
        ephemeral: ephemeral, timestamp: timestamp(wallClock), sender: index)
    else { return [] }
    if let old = state.pending { disown(old.index, &state) }
    own(index, number, &state)
    state.pending = PeerState.Pending(noise: noise, ephemeral: ephemeral, index: index)
    let next = now + timeout(state, now) + jitter()
    state.attempt?.next = next
    state.initiated = now
    state.handshakeSeen = now
    let signed = state.jar.sign(message.body, now: now)
    peers[number] = state
    return [.send(signed, peer: number)]
  }

  private func timeout(_ state: PeerState, _ now: Duration) -> Duration {
    guard let attempt = state.attempt, state.keysMade == nil, state.peer.keepalive != nil else {
      return WireGuardTimes.rekeyTimeout
    }
    return min(max(now - attempt.started, WireGuardTimes.firstTimeout), WireGuardTimes.rekeyTimeout)
  }

  // MARK: timers

  /// What is due. To be called at ``nextDeadline``, and once a second while packets flow.
  mutating func tick(
    now: Duration, wallClock: Duration, traffic: (Int) -> WireGuardTraffic
  ) -> [WireGuardAction] {
    peers.keys.sorted().flatMap {
      tick($0, now: now, wallClock: wallClock, traffic: traffic($0))
    }
  }

  /// When a handshake's message is due next.
  var nextDeadline: Duration? { peers.values.compactMap { $0.attempt?.next }.min() }

  private mutating func tick(
    _ number: Int, now: Duration, wallClock: Duration, traffic: WireGuardTraffic
  ) -> [WireGuardAction] {
    guard var state = peers[number] else { return [] }
    var actions: [WireGuardAction] = []
    let (isUnanswered, isOwing) = state.note(traffic, now: now)
    if isOwing { actions.append(.keepalive(peer: number)) }
    if let made = state.keysMade, now - made >= WireGuardTimes.rejectAfter * 3 {
      for index in state.indexes { owners[index] = nil }
      state.indexes = []
      state.keysMade = nil
      state.pending = nil
      actions.append(.eraseKeys(peer: number))
    }
    let isIdle = state.isIdle(traffic, now: now)
    peers[number] = state
    if let attempt = state.attempt {
      guard now >= attempt.next else { return actions }
      if now - attempt.started >= WireGuardTimes.rekeyAttempt {
        peers[number]?.attempt = nil
        peers[number]?.pending = nil
        return actions + [.dropWaiting(peer: number)]
      }
      return actions + initiate(number, now: now, wallClock: wallClock)
    }
    if isUnanswered { return actions + wantKey(number, now: now, wallClock: wallClock) }
    if isIdle {
      let hasKey = state.keysMade.map { now - $0 < WireGuardTimes.rejectAfter } ?? false
      if !hasKey { return actions + wantKey(number, now: now, wallClock: wallClock) }
      if !isOwing { actions.append(.keepalive(peer: number)) }
    }
    return actions
  }

  // MARK: numbers

  private mutating func own(_ index: UInt32, _ number: Int, _ state: inout PeerState) {
    owners[index] = number
    state.indexes.append(index)
    if state.indexes.count > PeerState.indexCapacity {
      owners[state.indexes.removeFirst()] = nil
    }
  }

  private mutating func disown(_ index: UInt32, _ state: inout PeerState) {
    owners[index] = nil
    state.indexes.removeAll { $0 == index }
  }

  private func freeIndex() throws -> UInt32 {
    while true {
      let index = UInt32(wire: try random(4)[...])
      if owners[index] == nil { return index }
    }
  }

  private func jitter() -> Duration {
    let drawn = (try? random(2)).map { Int($0[0]) << 8 | Int($0[1]) } ?? 0
    return WireGuardTimes.jitter * drawn / 65536
  }

  /// TAI64N (paper, 5.4.2), rounded to 16 ms so that it does not give the clock away, and always
  /// after the last one.
  private mutating func timestamp(_ wallClock: Duration) -> [UInt8] {
    let parts = wallClock.components
    let seconds = UInt64(bitPattern: 0x4000_0000_0000_000a + parts.seconds)
    let nanoseconds = UInt32(parts.attoseconds / 1_000_000_000) & ~0xFF_FFFF
    func bigEndian(_ value: UInt64, _ count: Int) -> [UInt8] {
      (0..<count).map { UInt8(truncatingIfNeeded: value >> UInt64(8 * (count - 1 - $0))) }
    }
    var stamp = bigEndian(seconds, 8) + bigEndian(UInt64(nanoseconds), 4)
    if !lastTimestamp.lexicographicallyPrecedes(stamp) {
      stamp = lastTimestamp
      for at in stamp.indices.reversed() {
        stamp[at] &+= 1
        if stamp[at] != 0 { break }
      }
    }
    lastTimestamp = stamp
    return stamp
  }
}

extension TunnelPeer {
  /// WireGuard takes zeros where there is no secret.
  var psk: [UInt8] {
    presharedKey?.bytes ?? [UInt8](repeating: 0, count: TunnelPublicKey.byteCount)
  }
}

extension TunnelEndpoint {
  /// What a cookie is bound to.
  var proofBytes: [UInt8] {
    address.bytes
      + (relayHeader.map { header in
        stride(from: 56, through: 0, by: -8).map {
          UInt8(truncatingIfNeeded: header.rawValue >> UInt64($0))
        }
      } ?? [])
  }
}
