internal import IorunCore
public import IorunPath

/// Where one UDP socket of this process stands on the internet: what reflectors saw of it, and how it
/// reaches relays where UDP is blocked. Used by nodes, for each of their sockets, and by clients.
public actor PathPlace {
  /// The search for paths from that socket.
  public nonisolated let keeper: PathKeeper
  private let lookup: RelayLookup
  private struct Search {
    var offer: PathOffer
    var context: [UInt8]
    var onRoute: @Sendable (PathRoute?) -> Void
    var usesShim: Bool
  }

  private var shims: [SocketAddress: StreamShim] = [:]
  private var searches: [String: Search] = [:]
  private var hasGathered = false
  private var silentGathers = 0
  /// What reflectors saw last.
  public private(set) var findings = ReflectorFindings()
  /// The round trip to each relay, by its peer id, in milliseconds.
  public private(set) var roundTrips: [String: Double] = [:]

  /// Makes a place; `keeper` has begun.
  public init(keeper: PathKeeper, headAddress: String) {
    self.keeper = keeper
    lookup = RelayLookup(headAddress: headAddress)
  }

  /// This end, as others are told of it.
  public var end: PathEnd {
    PathEnd(
      key: keeper.publicKey, natClass: natClass,
      candidates: Candidate.sorted(
        findings.own.map { Candidate(.host, $0) }
          + findings.mapped.filter { !findings.own.contains($0) }.map { Candidate(.mapped, $0) }))
  }

  /// What stands before the socket, as far as it is known.
  public var natClass: NATClass { hasGathered ? findings.natClass : .unknown }

  /// The relays with all their addresses.
  public func complete(_ offers: [RelayOffer]) async -> [RelayOffer] {
    await lookup.complete(offers)
  }

  /// Asks the relays what they see of the socket, and tells the searches.
  public func gather(_ offers: [RelayOffer]) async {
    let relays = await lookup.complete(offers)
    let (found, times) = await keeper.gather(relays.map(\.target))
    // One silence may be a lost datagram or two; the next one counts.
    silentGathers = found.answers.isEmpty ? silentGathers + 1 : 0
    if silentGathers != 1 || !hasGathered {
      findings = found
    } else {
      findings.own = found.own
    }
    hasGathered = true
    for (index, time) in times where index < relays.count {
      // The least of the last few: what a busy machine adds is no part of the way.
      let (id, new) = (relays[index].id.description, time / .milliseconds(1))
      roundTrips[id] = min(new, (roundTrips[id] ?? .infinity) * 1.25)
    }
    let end = end
    await keeper.setOwn(end.candidates, natClass: end.natClass)
    guard end.natClass == .udpBlocked else { return }
    // Searches that began by UDP, before it was known to be blocked, go on by TCP.
    for (name, search) in searches where !search.usesShim {
      try? await add(name, search.offer, context: search.context, onRoute: search.onRoute)
    }
  }

  /// Begins to look for the peer of an offer.
  ///
  /// - Throws: `malformed`, `overloaded`.
  public func add(
    _ name: String, _ offer: PathOffer, context: [UInt8] = [],
    onRoute: @escaping @Sendable (PathRoute?) -> Void
  ) async throws {
    try offer.end.check()
    var peer = PathKeeper.Peer(
      key: offer.end.key, context: context, isCaller: offer.isCaller,
      candidates: offer.end.candidates, natClass: offer.end.natClass)
    var through: [SocketAddress]?
    if let pass = offer.relay {
      let completed = await lookup.complete(pass, port: offer.relayPort)
      peer.relay = completed
      through = try shim(completed, streamPort: offer.relayStreamPort)
    }
    searches[name] = Search(
      offer: offer, context: context, onRoute: onRoute, usesShim: through != nil)
    try await keeper.add(name, peer, through: through, onRoute: onRoute)
  }

  /// Takes another relay for a peer, or another pass for the same one: at once, or, where
  /// `isRenewal`, once the relay has taken it.
  ///
  /// - Throws: `internalFault`, and what the way by TCP throws.
  public func setRelay(
    _ name: String, _ pass: RelayPass, port: UInt16, streamPort: UInt16, isRenewal: Bool = false
  ) async throws {
    guard searches[name] != nil else { return }
    searches[name]?.offer.relay = pass
    searches[name]?.offer.relayPort = port
    searches[name]?.offer.relayStreamPort = streamPort
    let completed = await lookup.complete(pass, port: port)
    let through = try shim(completed, streamPort: streamPort)
    searches[name]?.usesShim = through != nil
    if isRenewal {
      try await keeper.renewRelay(name, completed, through: through)
    } else {
      try await keeper.setRelay(name, completed, through: through)
    }
  }

  /// Ends a search.
  public func remove(_ name: String) async {
    searches[name] = nil
    await keeper.remove(name)
  }

  /// Where the relay is reached instead, if UDP is blocked here.
  private func shim(_ pass: RelayPass, streamPort: UInt16) throws -> [SocketAddress]? {
    guard natClass == .udpBlocked, streamPort != 0, let first = pass.addresses.first else {
      return nil
    }
    let shim: StreamShim
    if let known = shims[first] {
      shim = known
    } else {
      guard shims.count < 16 else { return nil }
      shim = try StreamShim(to: pass.addresses.map { $0.with(port: streamPort) })
      shims[first] = shim
    }
    return [shim.address]
  }

  /// Ends the searches.
  public func stop() async {
    await keeper.stop()
    searches = [:]
    for shim in shims.values { shim.stop() }
    shims = [:]
  }
}
