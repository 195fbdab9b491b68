internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunPath
internal import Logging

/// Links of this node to other nodes, beside the one to the head: sessions between agents then pass
/// nobody else. Made where a TCP connection can be had; the head carries what is left.
actor DirectLinks {
  /// How long a peer's address has to take a connection.
  static let patience = Duration.milliseconds(1500)
  /// After so long the end that was to wait tries as well: its peer may be behind a router.
  static let turn = Duration.seconds(15)
  /// How often an end tries that found no way.
  static let tryEvery = Duration.seconds(60)
  /// So long after a peer was named its link is being made, and no way yet that could be reported.
  static let making = Duration.seconds(3)

  private struct Known {
    var offer: LinkOffer
    var since: ContinuousClock.Instant
    var triedAt: ContinuousClock.Instant?
    var isDialled = false
    var isDirect = false
  }

  private let endpoint: ZeroMQEndpoint
  private let publicKey: [UInt8]
  private let logger: Logger
  private let now: @Sendable () -> ContinuousClock.Instant
  private let allowed: PeerAllowList
  private let credentials: LinkCredentials
  private var listener: LinkListener?
  private var known: [PeerID: Known] = [:]

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
    }
    let now = self.now()
    for offer in wanted {
      if known[offer.peer]?.offer != offer {
        known[offer.peer] = Known(
          offer: offer, since: known[offer.peer]?.since ?? now,
          isDialled: known[offer.peer]?.isDialled ?? false)
      }
    }
    for peer in known.keys { await look(peer, now) }
  }

  /// The links as ways to be reported, as they are now.
  func summaries() async -> [PathSummary] {
    let now = self.now()
    for peer in known.keys { await note(peer) }
    return known.compactMap { peer, known in
      guard known.isDirect || now - known.since > Self.making else { return nil }
      return PathSummary(
        peer: peer, purpose: "session", isDirect: known.isDirect, roundTripMilliseconds: nil,
        address: nil)
    }
  }

  /// True while links are being made: they are worth a look soon.
  var areBeingMade: Bool {
    let now = self.now()
    return known.values.contains { !$0.isDirect && now - $0.since <= Self.making }
  }

  private func note(_ peer: PeerID) async {
    let isDirect = (try? await endpoint.isDirect(to: peer)) ?? false
    known[peer]?.isDirect = isDirect
  }

  private func look(_ peer: PeerID, _ now: ContinuousClock.Instant) async {
    await note(peer)
    guard let entry = known[peer], !entry.isDirect,
      entry.offer.dials || now - entry.since > Self.turn,
      entry.triedAt.map({ now - $0 > Self.tryEvery }) ?? true
    else { return }
    known[peer]?.triedAt = now
    if entry.isDialled { endpoint.hangUp(peer) }
    let addresses = entry.offer.end.addresses
    let found = try? await Blocking.run {
      addresses.first { TCPReach.connects(to: $0, within: Self.patience) }
    }
    guard let address = found ?? nil, known[peer] != nil else { return }
    known[peer]?.isDialled = true
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
