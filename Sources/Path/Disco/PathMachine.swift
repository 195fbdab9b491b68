public import IorunCore

/// The search for a path to one peer, and the care for it, as a value: what comes in goes in, what is
/// to be sent comes out, time and chance are arguments.
///
/// Data goes by the relay from the start. Meanwhile one end calls the other through the relay: both
/// first send pings that die on the way (a low time to live), which open their own NATs and never
/// reach the other's; only then, a relay round trip later, pings that arrive. Through Linux's NAT
/// nothing else works: a ping that comes too early leaves an entry there that the own mapping then
/// clashes with. A pong makes a path, the best path is used and pinged every 3 s, and one that has
/// not answered for 6.5 s is given up for the relay.
public struct PathMachine: Sendable {
  /// A way to the peer.
  public enum Way: Hashable, Sendable {
    /// Datagrams go straight to that address.
    case direct(SocketAddress)
    /// Datagrams go through the relay.
    case relay
  }

  /// What is to be done.
  public enum Action: Hashable, Sendable {
    /// Send a message; with a `timeToLive`, so many hops and no farther.
    case send(DiscoMessage, Way, timeToLive: Int?)
    /// The data's way is another now; `nil`: there is none.
    case use(Way?)
    /// Open many sockets and ping this address from each: the peer, whose mapping is known, pings
    /// many ports of ours, and where two meet there is a path.
    case spread(to: SocketAddress)
  }

  /// The times and numbers.
  public struct Settings: Sendable {
    /// How often the way in use is pinged.
    public var heartbeat = Duration.seconds(3)
    /// How long a way is good after its last pong.
    public var trust = Duration.milliseconds(6500)
    /// How long after each try in vain the next one begins; the last one is repeated. More than 30 s
    /// from the third one on: so long Linux's NAT remembers a ping that came too early.
    public var retries: [Duration] = [.seconds(2), .seconds(5), .seconds(35), .seconds(60)]
    /// How often an unanswered call is repeated.
    public var callRepeat = Duration.milliseconds(500)
    /// How often a better way than the one in use is looked for.
    public var reprobe = Duration.seconds(60)
    /// Hops of the pings that open the own NAT, one for each try. Past a home's and a carrier's
    /// routers, and short of the other end's.
    public var holeTimesToLive = [4, 3, 6]
    /// How long a relay that there is to be may take to answer before the search goes on without.
    public var relayPatience = Duration.seconds(2)
    /// Pings that are sent to guessed ports, and how many in 10 ms.
    public var scatterLimit = 1024, scatterBurst = 4

    /// The usual ones.
    public init() {}
  }

  struct Remote: Sendable {
    var candidate: Candidate
    var lastPong: Duration?
    var roundTrip: Duration?
  }
  struct Pending: Sendable {
    var way: Way
    var sentAt: Duration
  }
  struct Scatter: Sendable {
    var host: SocketAddress
    var transaction: UInt64
    var left: Int
    var nextAt: Duration
  }

  let settings: Settings
  /// True at the end that calls first: the one with the lower key.
  public let isCaller: Bool
  let expectsRelay: Bool
  var random: SplitMix
  var own: [Candidate] = []
  var ownClass = NATClass.unknown
  var peerClass = NATClass.unknown
  var remotes: [SocketAddress: Remote] = [:]
  var pending: [UInt64: Pending] = [:]
  var relayIsUp = false
  /// Whether the peer was heard through the relay: it is bound there as well, and so are we.
  var relayIsHeard = false
  /// The smoothed time to the peer and back through the relay.
  public internal(set) var relayRoundTrip: Duration?
  /// The way that data takes now.
  public internal(set) var current: Way?
  /// Tries so far to find a direct way since there last was one.
  public internal(set) var tries = 0
  var round: UInt32 = 0
  var calls = 0
  var nextCall: Duration?
  var nextTry: Duration?
  var nextHeartbeat: Duration?
  var pingTimes: [Duration] = []
  var scatterAt: Duration?
  var scatter: Scatter?

  /// How often a peer is asked through the relay that has not been heard there yet.
  static let relayAsk = Duration.milliseconds(500)
  static let remoteLimit = 32
  static let pendingLimit = 256
  static let callLimit = 6

  /// Makes a machine that knows nothing yet.
  ///
  /// - Parameters:
  ///   - expectsRelay: true where there is a relay, which is waited for: whoever searches without
  ///     the other end's knowledge spoils the NATs on the way.
  ///   - seed: drawn at random, so that no other end guesses transactions.
  public init(
    isCaller: Bool, expectsRelay: Bool, seed: UInt64, settings: Settings = Settings()
  ) {
    self.isCaller = isCaller
    self.expectsRelay = expectsRelay
    self.settings = settings
    random = SplitMix(state: seed)
    round = UInt32(truncatingIfNeeded: random.next())
  }

  /// The round trip of the way in use, once it was measured.
  public var roundTrip: Duration? {
    switch current {
    case .direct(let address): remotes[address]?.roundTrip
    case .relay: relayRoundTrip
    case nil: nil
    }
  }

  /// When `tick` next has something to do.
  public var deadline: Duration? {
    let trusted = current.flatMap { trustEnd($0) }
    return [
      nextCall, nextTry, nextHeartbeat, pingTimes.first, scatterAt, scatter?.nextAt, trusted,
    ].compactMap { $0 }.min()
  }

  /// This end's addresses are these, from now on. A change sets off a search at once: the old path
  /// may be gone without anybody saying so.
  public mutating func setOwn(
    _ candidates: [Candidate], natClass: NATClass, now: Duration, into actions: inout [Action]
  ) {
    let sorted = Candidate.sorted(candidates)
    let isFirst = own.isEmpty
    guard sorted != own || natClass != ownClass else { return }
    own = sorted
    ownClass = natClass
    if isCaller || !isFirst { beginAnew(now: now, into: &actions) }
  }

  /// What the head says of the peer's addresses.
  public mutating func learn(
    _ candidates: [Candidate], natClass: NATClass, now: Duration, into actions: inout [Action]
  ) {
    if natClass != .unknown { peerClass = natClass }
    add(candidates)
    if isCaller, !isDirect { beginAnew(now: now, into: &actions) }
  }

  /// The relay takes datagrams for the peer, or no longer.
  public mutating func setRelay(isUp: Bool, now: Duration, into actions: inout [Action]) {
    guard isUp != relayIsUp else { return }
    relayIsUp = isUp
    relayIsHeard = false
    choose(now: now, into: &actions)
    guard isUp else { return }
    ping(.relay, now: now, into: &actions)
    nextHeartbeat = min(nextHeartbeat ?? now + Self.relayAsk, now + Self.relayAsk)
    if isCaller, !isDirect { beginAnew(now: now, into: &actions) }
  }

  /// A message of the peer came.
  public mutating func receive(
    _ message: DiscoMessage, by way: Way, now: Duration, into actions: inout [Action]
  ) {
    if way == .relay, relayIsUp, !relayIsHeard {
      relayIsHeard = true
      choose(now: now, into: &actions)
    }
    switch message {
    case .ping(let transaction):
      var observed: SocketAddress?
      if case .direct(let address) = way { observed = address }
      actions.append(
        .send(.pong(transaction: transaction, observed: observed), way, timeToLive: nil))
      if let observed, remotes[observed]?.lastPong == nil {
        add([Candidate(.observed, observed)])
        ping(way, now: now, into: &actions)
      }
    case .pong(let transaction, _):
      guard let sent = take(transaction, by: way) else {
        takeGuess(transaction, by: way, now: now, into: &actions)
        return
      }
      measured(way, now - sent, now: now)
      choose(now: now, into: &actions)
    case .call(let number, let isAnswer, let natClass, let candidates):
      if natClass != .unknown { peerClass = natClass }
      add(candidates)
      if isAnswer {
        guard number == round, nextCall != nil else { return }
        // The other end has opened its side: what is sent now arrives.
        nextCall = nil
        schedulePings(from: now, gap: .zero)
        tick(now: now, into: &actions)
      } else {
        openHoles(now: now, into: &actions)
        actions.append(.send(call(number, isAnswer: true), way, timeToLive: nil))
        // Not before the caller has heard and opened its side.
        schedulePings(from: now, gap: max(relayRoundTrip ?? .milliseconds(300), .milliseconds(20)))
      }
    }
  }

  /// Does what is due.
  public mutating func tick(now: Duration, into actions: inout [Action]) {
    pending = pending.filter { now - $0.value.sentAt < .seconds(5) }
    choose(now: now, into: &actions)
    if let due = nextHeartbeat, due <= now {
      nextHeartbeat = now + (current == nil ? Self.relayAsk : settings.heartbeat)
      if let current {
        ping(current, now: now, into: &actions)
      } else if relayIsUp {
        ping(.relay, now: now, into: &actions)
      } else {
        nextHeartbeat = nil
      }
    }
    if let due = nextCall, due <= now {
      if calls < Self.callLimit {
        sendCall(now: now, into: &actions)
      } else {
        // The other end is not there: pings that it does not know of would only do harm.
        nextCall = nil
      }
    }
    if let due = pingTimes.first, due <= now {
      pingTimes.removeAll { $0 <= now }
      if !isDirect { pingAll(now: now, into: &actions) }
    }
    if let due = nextTry, due <= now {
      if isDirect {
        // A better one than the one in use may have appeared: a LAN, a way by IPv6.
        nextTry = now + settings.reprobe
        pingAll(now: now, into: &actions)
      } else {
        begin(now: now, into: &actions)
      }
    }
    if let due = scatterAt, due <= now {
      scatterAt = nil
      beginScatter(now: now, into: &actions)
    }
    sendScatter(now: now, into: &actions)
  }
}
