public import IorunCore
public import IorunCrypto

/// Looks for and keeps the ways to peers over one UDP socket: ties the values (seals, machines,
/// bindings, probes) to a channel and a clock.
public actor PathKeeper {
  /// What is known of a peer at the start.
  public struct Peer: Sendable {
    /// Its disco key.
    public var key: [UInt8]
    /// What else both ends know of the pair, such as the lease.
    public var context: [UInt8]
    /// True at one of the two ends: the one that calls.
    public var isCaller: Bool
    /// Where it may be.
    public var candidates: [Candidate]
    /// What stands before it.
    public var natClass: NATClass
    /// The relay between the two.
    public var relay: RelayPass?

    /// Describes a peer.
    public init(
      key: [UInt8], context: [UInt8] = [], isCaller: Bool, candidates: [Candidate] = [],
      natClass: NATClass = .unknown, relay: RelayPass? = nil
    ) {
      self.key = key
      self.context = context
      self.isCaller = isCaller
      self.candidates = candidates
      self.natClass = natClass
      self.relay = relay
    }
  }

  struct Held {
    var seal: DiscoSeal
    var machine: PathMachine
    var binding: RelayBinding?
    var header: RelayHeader?
    /// A newer pass for the same relay, not taken by it yet.
    var renewal: (binding: RelayBinding, header: RelayHeader)?
    var route: PathRoute?
    var onRoute: @Sendable (PathRoute?) -> Void
    var spread: SpreadSockets?
  }

  /// The most peers of one socket.
  public static let limit = 1024
  /// Datagrams that wait to be looked at; more are dropped.
  static let backlog = 1024

  /// The disco key's public half.
  public nonisolated let publicKey: [UInt8]
  nonisolated let channel: any DatagramChannel
  let key: X25519
  nonisolated let associations = AssociationTable()
  private let settings: PathMachine.Settings
  var peers: [String: Held] = [:]
  private var byName: [[UInt8]: String] = [:]
  private var own: [Candidate] = []
  private var natClass = NATClass.unknown
  var probe: NATProbe?
  var sizeProbe: (transaction: UInt64, isAnswered: Bool)?
  private var reader: Task<Void, Never>?
  private var timer: Task<Void, Never>?
  private var armedFor: Duration?
  private var isOver = false

  /// Makes a keeper; `start` begins.
  public init(
    channel: any DatagramChannel, key: X25519, settings: PathMachine.Settings = .init()
  ) {
    self.channel = channel
    self.key = key
    self.settings = settings
    publicKey = key.publicKey
  }

  /// Takes the channel's datagrams from now on.
  public func start() {
    guard reader == nil, !isOver else { return }
    let (stream, input) = AsyncStream.makeStream(
      of: (bytes: [UInt8], from: SocketAddress).self,
      bufferingPolicy: .bufferingNewest(Self.backlog))
    channel.onDatagram { [associations] bytes, from in
      // Beside the search, which would hold them up.
      if !associations.take(bytes) { input.yield((bytes, from)) }
    }
    reader = Task { [weak self] in
      for await datagram in stream { await self?.receive(datagram.bytes, from: datagram.from) }
    }
  }

  /// Forgets all peers; the channel stays its owner's.
  public func stop() {
    isOver = true
    channel.onDatagram(nil)
    reader?.cancel()
    timer?.cancel()
    for held in peers.values { held.spread?.stop() }
    peers = [:]
    byName = [:]
  }

  /// Begins to look for a way to a peer; replaces what was known under the same name.
  ///
  /// - Parameters:
  ///   - onRoute: told of each change of the way, one call after the other; must not block.
  /// - Throws: `malformed` for an unusable key, `overloaded` where there are too many.
  public func add(
    _ name: String, _ peer: Peer, through shim: [SocketAddress]? = nil,
    onRoute: @escaping @Sendable (PathRoute?) -> Void
  ) throws {
    remove(name)
    guard peers.count < Self.limit else {
      throw IorunError(.overloaded, "there are \(peers.count) paths from this socket already")
    }
    let seal = try DiscoSeal(own: key, peer: peer.key, context: peer.context)
    var held = Held(
      seal: seal,
      machine: PathMachine(
        isCaller: peer.isCaller, expectsRelay: peer.relay != nil, seed: try Self.seed(),
        settings: settings),
      onRoute: onRoute)
    if let pass = peer.relay {
      held.header = try RelayHeader(pass)
      held.binding = RelayBinding(pass, through: shim, seed: try Self.seed())
    }
    peers[name] = held
    byName[seal.inboundName] = name
    step(name) { machine, now, actions in
      machine.setOwn(self.own, natClass: self.natClass, now: now, into: &actions)
      machine.learn(peer.candidates, natClass: peer.natClass, now: now, into: &actions)
    }
    tick()
  }

  /// Tells what else is known of a peer now.
  public func learn(_ name: String, _ candidates: [Candidate], natClass: NATClass) {
    step(name) { machine, now, actions in
      machine.learn(candidates, natClass: natClass, now: now, into: &actions)
    }
  }

  /// Another relay between the two, or another pass for the same one. A direct way stays as it is.
  ///
  /// - Throws: `internalFault` where OpenSSL fails.
  public func setRelay(
    _ name: String, _ pass: RelayPass, through shim: [SocketAddress]? = nil
  ) throws {
    guard peers[name] != nil else { return }
    let header = try RelayHeader(pass)
    let binding = RelayBinding(pass, through: shim, seed: try Self.seed())
    step(name) { machine, now, actions in
      machine.setRelay(isUp: false, now: now, into: &actions)
    }
    peers[name]?.header = header
    peers[name]?.binding = binding
    peers[name]?.renewal = nil
    tick()
  }

  /// Whether no relay takes datagrams for a peer: none was given, or it does not answer.
  public func lacksRelay(_ name: String) -> Bool {
    peers[name].map { $0.binding?.isUp != true } ?? false
  }

  /// Forgets a peer.
  public func remove(_ name: String) {
    guard let held = peers.removeValue(forKey: name) else { return }
    held.spread?.stop()
    byName[held.seal.inboundName] = nil
  }

  /// This end's addresses and class; all searches begin anew where they have changed.
  public func setOwn(_ candidates: [Candidate], natClass: NATClass) {
    let changed = Candidate.sorted(candidates) != own
    own = Candidate.sorted(candidates)
    self.natClass = natClass
    for name in peers.keys {
      // The NAT's old mapping is gone with the old address.
      if changed { peers[name]?.binding?.rebind() }
      step(name) { machine, now, actions in
        machine.setOwn(self.own, natClass: natClass, now: now, into: &actions)
      }
    }
    tick()
  }

  /// How it stands with a peer; `nil` for an unknown one.
  public func status(_ name: String) -> PathStatus? {
    peers[name].map { held in
      PathStatus(
        route: held.route, roundTrip: held.machine.roundTrip,
        relayRoundTrip: held.machine.relayRoundTrip, tries: held.machine.tries)
    }
  }

  /// Asks reflectors what they see of the socket; takes at most 1.6 s.
  public func gather(_ reflectors: [ReflectorTarget]) async -> (
    findings: ReflectorFindings, roundTrips: [Int: Duration]
  ) {
    let addresses = OwnAddresses.all(port: channel.port)
    guard let seed = try? Self.seed() else { return (ReflectorFindings(own: addresses), [:]) }
    var running = NATProbe(reflectors, own: addresses, seed: seed, now: PathClock.now())
    probe = running
    while !running.isOver(now: PathClock.now()), !isOver {
      let questions = running.tick(now: PathClock.now())
      probe = running
      for question in questions {
        channel.send(question.bytes, to: question.address, timeToLive: nil)
      }
      try? await Task.sleep(for: .milliseconds(20))
      if Task.isCancelled { break }
      running = probe ?? running
    }
    probe = nil
    return (running.findings, running.roundTrips)
  }

  private func receive(_ bytes: [UInt8], from address: SocketAddress) {
    guard !isOver, let first = bytes.first else { return }
    let now = PathClock.now()
    switch first {
    case DiscoSeal.firstByte: take(bytes[...], by: .direct(address))
    case RelayHeader.discoByte:
      guard bytes.count > RelayHeader.byteCount else { return }
      let inner = bytes.dropFirst(RelayHeader.byteCount)
      guard let inbound = DiscoSeal.name(in: inner), let name = byName[inbound],
        let held = peers[name], held.binding?.relay == address,
        held.header?.disco == Array(bytes.prefix(RelayHeader.byteCount))
      else { return }
      take(inner, by: .relay)
    case RelayPacket.firstByte:
      if var running = probe {
        let questions = running.receive(bytes, from: address, now: now)
        probe = running
        for question in questions {
          channel.send(question.bytes, to: question.address, timeToLive: nil)
        }
      }
      if let sizeProbe, case .seen(let transaction, _, _, _)? = RelayPacket(bytes),
        transaction == sizeProbe.transaction
      {
        self.sizeProbe?.isAnswered = true
      }
      for name in peers.keys {
        let actions = peers[name]?.binding?.receive(bytes, from: address, now: now) ?? []
        carryOut(actions, of: name)
        carryOutRenewal(
          peers[name]?.renewal?.binding.receive(bytes, from: address, now: now) ?? [], of: name)
      }
    default: return
    }
    arm()
  }

  private func take(_ datagram: ArraySlice<UInt8>, by way: PathMachine.Way) {
    guard let inbound = DiscoSeal.name(in: datagram), let name = byName[inbound],
      let message = peers[name]?.seal.open(datagram)
    else { return }
    step(name) { machine, now, actions in
      machine.receive(message, by: way, now: now, into: &actions)
    }
  }

  func tick() {
    let now = PathClock.now()
    for name in peers.keys {
      if let due = peers[name]?.binding?.deadline, due <= now {
        carryOut(peers[name]?.binding?.tick(now: now) ?? [], of: name)
      }
      if let due = peers[name]?.renewal?.binding.deadline, due <= now {
        carryOutRenewal(peers[name]?.renewal?.binding.tick(now: now) ?? [], of: name)
      }
      if let due = peers[name]?.machine.deadline, due <= now {
        step(name) { machine, now, actions in machine.tick(now: now, into: &actions) }
      }
    }
    arm()
  }

  private func carryOut(_ actions: [RelayBinding.Action], of name: String) {
    for action in actions {
      switch action {
      case .send(let bytes, let address): channel.send(bytes, to: address, timeToLive: nil)
      case .up, .down:
        let isUp = peers[name]?.binding?.isUp ?? false
        step(name) { machine, now, actions in
          // Another address of the relay is another route: it must be told anew.
          machine.setRelay(isUp: false, now: now, into: &actions)
          machine.setRelay(isUp: isUp, now: now, into: &actions)
        }
      }
    }
  }

  private func step(
    _ name: String, _ body: (inout PathMachine, Duration, inout [PathMachine.Action]) -> Void
  ) {
    guard var held = peers[name] else { return }
    var actions: [PathMachine.Action] = []
    body(&held.machine, PathClock.now(), &actions)
    peers[name] = held
    for action in actions { carryOut(action, of: name) }
  }

  private func carryOut(_ action: PathMachine.Action, of name: String) {
    guard let held = peers[name] else { return }
    switch action {
    case .send(let message, let way, let timeToLive):
      guard let sealed = try? held.seal.seal(message) else { return }
      switch way {
      case .direct(let address): channel.send(sealed, to: address, timeToLive: timeToLive)
      case .relay:
        guard let header = held.header, let relay = held.binding?.relay else { return }
        channel.send(header.disco + sealed, to: relay, timeToLive: nil)
      }
    case .use(let way):
      let route = route(way, held)
      guard route != held.route else { return }
      peers[name]?.route = route
      held.onRoute(route)
    case .spread(let target):
      held.spread?.stop()
      // Any authentic word will do: it opens the NAT, and the answer is not needed.
      guard let word = try? held.seal.seal(.ping(transaction: 0)) else { return }
      peers[name]?.spread = try? SpreadSockets(
        to: target, word: word, name: held.seal.inboundName, channelPort: channel.port)
    }
  }

  private func route(_ way: PathMachine.Way?, _ held: Held) -> PathRoute? {
    switch way {
    case .direct(let address): PathRoute(address)
    case .relay: held.binding?.relay.map { PathRoute($0, relayHeader: held.header?.data) }
    case nil: nil
    }
  }

  private func arm() {
    let next = peers.values
      .flatMap { [$0.machine.deadline, $0.binding?.deadline, $0.renewal?.binding.deadline] }
      .compactMap { $0 }.min()
    guard !isOver, let next else { return }
    if let armedFor, armedFor <= next, timer != nil { return }
    timer?.cancel()
    armedFor = next
    let wait = max(next - PathClock.now(), .milliseconds(2))
    timer = Task { [weak self] in
      guard (try? await Task.sleep(for: wait)) != nil else { return }
      await self?.ring()
    }
  }

  private func ring() {
    timer = nil
    armedFor = nil
    tick()
  }

  static func seed() throws -> UInt64 {
    try SecureRandom.bytes(8).reduce(0) { $0 << 8 | UInt64($1) }
  }
}
