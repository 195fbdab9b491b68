internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunPath
internal import Logging

/// Links of this node to other nodes, beside the one to the head: sessions between agents then pass
/// nobody else. Over TCP where a connection can be had, else over a path of datagrams, straight or by a
/// relay; the head carries what is left.
actor DirectLinks {
  /// How long a peer's address has to take a connection.
  static let patience = Duration.milliseconds(1500)
  /// How long a look may try peers' addresses; the others' turn is the next one's.
  static let trying = Duration.seconds(5)
  /// After so long the end that was to wait tries as well: its peer may be behind a router.
  static let turn = Duration.seconds(5)
  /// How long a connection that can be had has to become a link: somebody else may live there.
  static let linkPatience = Duration.seconds(8)
  /// After so long on a link by TCP the path of datagrams is given up.
  static let settled = Duration.seconds(10)
  /// How often an end tries that found no way.
  static let tryEvery = Duration.seconds(60)
  /// So long after a peer was named its link is being made, and no way yet that could be reported.
  static let making = Duration.seconds(3)
  /// The same where a path of datagrams is looked for.
  static let seeking = Duration.seconds(30)

  private enum Dialled: Equatable {
    case tcp
    /// At that address: the bridge after it has another port.
    case bridge(SocketAddress)
  }

  private struct Known {
    var offer: LinkOffer
    /// What the head last said of a path of datagrams.
    var path: PathOffer?
    var since: ContinuousClock.Instant
    var triedAt: ContinuousClock.Instant?
    var dialled: Dialled?
    /// A link of the peer's own is up.
    var isLinked = false
    /// TCP has found no way.
    var seeks = false
    /// Since when a link goes by TCP although a path of datagrams is there.
    var plainSince: ContinuousClock.Instant?
  }

  private let endpoint: ZeroMQEndpoint
  private let publicKey: [UInt8]
  private let logger: Logger
  private let now: @Sendable () -> ContinuousClock.Instant
  private let allowed: PeerAllowList
  private let credentials: LinkCredentials
  private var listener: LinkListener?
  private var known: [PeerID: Known] = [:]
  private var paths: SessionPaths?

  /// - Parameters:
  ///   - credentials: what this node shows to others and how it checks theirs, given the public keys
  ///     of those with whom it has business.
  ///   - now: the time, for tests that cannot wait.
  init(
    endpoint: ZeroMQEndpoint, publicKey: [UInt8],
    credentials: (_ key: @escaping @Sendable (PeerID) -> [UInt8]?) -> LinkCredentials,
    logger: Logger, now: @escaping @Sendable () -> ContinuousClock.Instant = { ContinuousClock.now }
  ) {
    let allowed = PeerAllowList()
    self.allowed = allowed
    self.credentials = credentials { allowed.key(of: $0) }
    self.endpoint = endpoint
    self.publicKey = publicKey
    self.logger = logger
    self.now = now
  }

  /// Where TCP finds no way, these are to.
  func attach(_ paths: SessionPaths) { self.paths = paths }

  /// This node's end, with its listener opened; `nil` where there can be none.
  func end() async -> LinkEnd? {
    if listener == nil { listener = await listen() }
    guard let port else { return nil }
    let isDual = listener?.addresses.first?.contains("[") ?? false
    let addresses = OwnAddresses.all(port: port).filter { isDual || $0.isV4 }
    return LinkEnd(key: publicKey, addresses: Array(addresses.prefix(LinkEnd.addressLimit)))
  }

  /// The TCP port on which this node takes links, once `end` has opened it.
  var port: UInt16? {
    listener?.addresses.first.flatMap { UInt16($0.split(separator: ":").last ?? "") }
  }

  /// A listener for IPv6 and IPv4, or for IPv4 alone where the kernel has nothing else.
  private func listen() async -> LinkListener? {
    let allowed = allowed
    var failure: (any Error)?
    for address in ["tcp://[::]:0", "tcp://0.0.0.0:0"] {
      do {
        return try await endpoint.listen(
          on: [address], admits: { allowed.admits($0) }, credentials: credentials)
      } catch {
        failure = error
      }
    }
    if let failure { logger.info("no direct links: \(failure)") }
    return nil
  }

  /// The nodes with which this one has business now: others' links end.
  func set(_ offers: [LinkOffer]) async {
    let wanted = offers.prefix(LinkOffer.limit).filter { $0.isGood }
    allowed.set(wanted.map(\.end.key))
    for peer in known.keys where !wanted.contains(where: { $0.peer == peer }) {
      known[peer] = nil
      endpoint.hangUp(peer)
      endpoint.endLinks(to: peer)
      await paths?.end(peer)
    }
    let now = self.now()
    for offer in wanted {
      var bare = offer
      bare.path = nil
      if known[offer.peer]?.offer != bare {
        let old = known[offer.peer]
        known[offer.peer] = Known(
          offer: bare, since: old?.since ?? now, dialled: old?.dialled,
          seeks: old?.seeks ?? false)
      }
      // Said anew each time: passes end.
      known[offer.peer]?.path = offer.path
    }
    await tend()
  }

  /// Looks after the links: makes those that are missing.
  func tend() async {
    let now = self.now()
    // Who has waited longest first: trying takes time, and the head is to hear from this node.
    let peers = known.sorted {
      ($0.value.triedAt ?? $0.value.since) < ($1.value.triedAt ?? $1.value.since)
    }
    for (peer, _) in peers { await look(peer, now) }
  }

  /// The nodes to which a path of datagrams is wanted.
  var seeks: [PeerID] { known.values.filter(\.seeks).map(\.offer.peer).sorted() }

  /// The links as ways to be reported, as they are now.
  func summaries() async -> [PathSummary] {
    let now = self.now()
    var all: [PathSummary] = []
    for (peer, entry) in known {
      await note(peer)
      let isLinked = known[peer]?.isLinked ?? false
      guard isLinked || now - entry.since > Self.making else { continue }
      if isLinked, let standing = await paths?.standing(peer), standing.isCarrying {
        all.append(PathSummary(peer, purpose: "session", standing.path))
      } else {
        all.append(
          PathSummary(
            peer: peer, purpose: "session", isDirect: isLinked, roundTripMilliseconds: nil,
            address: nil))
      }
    }
    return all
  }

  /// True while links are being made: they are worth a look soon.
  var areBeingMade: Bool {
    let now = self.now()
    return known.values.contains {
      !$0.isLinked && now - $0.since <= ($0.seeks ? Self.seeking : Self.making)
    }
  }

  private func note(_ peer: PeerID) async {
    let isLinked = (try? await endpoint.isDirect(to: peer)) ?? false
    known[peer]?.isLinked = isLinked
  }

  private func look(_ peer: PeerID, _ now: ContinuousClock.Instant) async {
    await note(peer)
    guard let entry = known[peer] else { return }
    if !entry.isLinked { await tryTCP(entry, now) }
    guard let paths, let entry = known[peer], entry.seeks else { return }
    if entry.isLinked, await paths.standing(peer)?.isCarrying != true {
      return await settle(entry, now, paths)
    }
    known[peer]?.plainSince = nil
    if let offer = entry.path, let port { await paths.keep(peer, offer, port: port) }
    guard !entry.isLinked, entry.offer.dials, known[peer] != nil,
      entry.dialled == nil || entry.triedAt.map({ now - $0 > Self.linkPatience }) ?? true,
      let standing = await paths.standing(peer), standing.path.route != nil,
      entry.dialled != .bridge(standing.bridge)
    else { return }
    // The bridge before it is gone.
    if case .bridge = entry.dialled { endpoint.hangUp(peer) }
    dial(entry, "\(standing.bridge)", .bridge(standing.bridge))
  }

  /// Dials where a TCP connection can be had, when it is time.
  private func tryTCP(_ entry: Known, _ now: ContinuousClock.Instant) async {
    let peer = entry.offer.peer
    if let triedAt = entry.triedAt, entry.dialled == .tcp, now - triedAt > Self.linkPatience {
      known[peer]?.seeks = true
    }
    guard self.now() - now < Self.trying, entry.offer.dials || now - entry.since > Self.turn,
      entry.triedAt.map({ now - $0 > Self.tryEvery }) ?? true
    else { return }
    known[peer]?.triedAt = now
    if entry.dialled == .tcp { endpoint.hangUp(peer) }
    let addresses = entry.offer.end.addresses
    let found = try? await Blocking.run { TCPReach.first(of: addresses, within: Self.patience) }
    guard let address = found ?? nil else {
      known[peer]?.seeks = true
      return
    }
    dial(entry, "\(address)", .tcp)
  }

  /// A link goes by TCP: after a while the path of datagrams is not kept beside it.
  private func settle(
    _ entry: Known, _ now: ContinuousClock.Instant, _ paths: SessionPaths
  ) async {
    let peer = entry.offer.peer
    guard let since = entry.plainSince else {
      known[peer]?.plainSince = now
      return
    }
    guard now - since > Self.settled else { return }
    known[peer]?.seeks = false
    known[peer]?.plainSince = nil
    if case .bridge = entry.dialled {
      // The link is the other end's; this end's leads nowhere any more.
      endpoint.hangUp(peer)
      known[peer]?.dialled = nil
    }
    await paths.end(peer)
  }

  private func dial(_ entry: Known, _ address: String, _ way: Dialled) {
    guard known[entry.offer.peer] != nil else { return }
    known[entry.offer.peer]?.dialled = way
    endpoint.dial(
      MeshUplink(
        address: "tcp://\(address)", key: entry.offer.end.key, credentials: credentials))
  }
}

extension LinkOffer {
  /// False where the key is not the peer's: the head cannot make one node pass for another.
  fileprivate var isGood: Bool {
    end.key.count == CurveKey.byteCount && CurveKey.peer(of: end.key) == peer
      && end.addresses.count <= LinkEnd.addressLimit
  }
}
