internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunPath
internal import Logging

/// Paths of datagrams to nodes that TCP does not reach, each with a bridge by which a link to the node
/// is made all the same: by a relay at once, straight as soon as both NATs are open.
actor SessionPaths {
  /// So long a relay that was given may take to answer before another pass is taken.
  static let relayPatience = Duration.seconds(5)
  /// What both ends know of such a path, beside their keys.
  static let context = Array("session".utf8)

  /// How it stands with a path.
  struct Standing: Sendable {
    /// What to dial for a link to the peer.
    var bridge: SocketAddress
    /// True while a link goes over it.
    var isCarrying: Bool
    var path: PathStatus
  }

  private struct Held {
    var key: [UInt8]
    var candidates: [Candidate]
    var bridge: PathBridge
    var life = PassLife()
    var relayGivenAt: ContinuousClock.Instant
  }

  private let place: PathPlace
  private let logger: Logger
  private var held: [PeerID: Held] = [:]

  /// - Parameter place: the node's own search, whose key and addresses others hear from the head.
  init(place: PathPlace, logger: Logger) {
    self.place = place
    self.logger = logger
  }

  /// Looks for a path to a peer, or takes what is new of it.
  ///
  /// - Parameter port: where this node takes links.
  func keep(_ peer: PeerID, _ offer: PathOffer, port: UInt16) async {
    do {
      if let known = held[peer], known.key == offer.end.key {
        try await renew(peer, known, offer)
      } else {
        await end(peer)
        try await begin(peer, offer, port)
      }
    } catch {
      logger.debug("no path to node \(peer.short): \(error)")
    }
  }

  /// The path to a peer is not needed any more.
  func end(_ peer: PeerID) async {
    guard let gone = held.removeValue(forKey: peer) else { return }
    gone.bridge.stop()
    await place.remove(Self.name(peer))
  }

  /// How it stands with the path to a peer; `nil` where none is looked for.
  func standing(_ peer: PeerID) async -> Standing? {
    guard let known = held[peer], let status = await place.keeper.status(Self.name(peer)) else {
      return nil
    }
    return Standing(
      bridge: known.bridge.address, isCarrying: known.bridge.isCarrying, path: status)
  }

  private func begin(_ peer: PeerID, _ offer: PathOffer, _ port: UInt16) async throws {
    let bridge = try place.keeper.bridge(
      to: offer.end.key, context: Self.context, as: .standIn(for: peer),
      target: SocketAddress(v4: 127, 0, 0, 1, port: port))
    var new = Held(
      key: offer.end.key, candidates: offer.end.candidates, bridge: bridge, relayGivenAt: .now)
    new.life.given(offer.relay.map { [$0.expiresAt] } ?? [], at: Self.unixSeconds())
    held[peer] = new
    do {
      try await place.add(Self.name(peer), offer, context: Self.context) { bridge.setRoute($0) }
    } catch {
      // So that it is tried again with the next word of the peer.
      await end(peer)
      throw error
    }
  }

  private func renew(_ peer: PeerID, _ known: Held, _ offer: PathOffer) async throws {
    if known.candidates != offer.end.candidates {
      held[peer]?.candidates = offer.end.candidates
      await place.keeper.learn(
        Self.name(peer), offer.end.candidates, natClass: offer.end.natClass)
    }
    guard let pass = offer.relay else { return }
    let lacks =
      await place.keeper.lacksRelay(Self.name(peer))
      && ContinuousClock.now - known.relayGivenAt > Self.relayPatience
    let now = Self.unixSeconds()
    guard lacks || known.life.isDue(at: now) else { return }
    held[peer]?.relayGivenAt = .now
    held[peer]?.life.given([pass.expiresAt], at: now)
    try await place.setRelay(
      Self.name(peer), pass, port: offer.relayPort, streamPort: offer.relayStreamPort,
      isRenewal: !lacks)
  }

  private static func name(_ peer: PeerID) -> String { "session \(peer)" }

  private static func unixSeconds() -> UInt64 { UInt64(max(0, Date().timeIntervalSince1970)) }
}
