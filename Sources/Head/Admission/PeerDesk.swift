internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunMesh

/// Lists peers and ends their membership; keeps the authority's keys young.
struct PeerDesk: Sendable {
  let store: Store
  let peers: PeerDirectory
  let authority: CertificateAuthority
  let clock: HeadClock

  /// All peers, the newest first.
  func list() async throws -> [PeerStatus] {
    let keys = verifyingKeys()
    return try await store.peers().reversed().map { status($0, keys) }
  }

  /// Ends the membership of the peer that `reference` names: it is revoked once this returns, and
  /// who ends its links is to be told then.
  ///
  /// - Throws: `notFound`, `notAllowed` for the caller itself.
  func revoke(_ reference: String, caller: PeerID) async throws -> PeerStatus {
    var peer = try PeerReference.find(reference, in: try await store.peers()) { ($0.id, $0.name) }
    guard peer.id != caller else {
      throw IorunError(
        .notAllowed, "nobody revokes itself: the network would be without an operator",
        remedy: "Let another operator do it")
    }
    if peer.revokedAt == nil {
      let now = clock.now()
      let id = peer.id
      try await authority.revoke(id, now: now) { try Store.revoke(id, at: now, $0) }
      peer.revokedAt = now
    }
    peers.add(peer)
    return status(peer, verifyingKeys())
  }

  /// The authority's keys, the oldest first.
  func authorities() async throws -> [AuthorityStatus] {
    let admitted = try await store.peers().filter { $0.revokedAt == nil }
    return authority.authorities.map { entry in
      let keys = (try? VerifyingKey(rawRepresentation: entry.key)).map { [$0] } ?? []
      let count = admitted.count {
        (try? MembershipCertificate.read($0.certificate, signedByOneOf: keys)) != nil
      }
      return AuthorityStatus(
        key: entry.key, acceptedUntil: entry.acceptedUntil.map(Double.init), peers: count)
    }
  }

  private func verifyingKeys() -> [VerifyingKey] {
    let now = Int64(clock.now())
    return authority.authorities.filter { $0.acceptedUntil.map { now < $0 } ?? true }
      .compactMap { try? VerifyingKey(rawRepresentation: $0.key) }
  }

  private func status(_ peer: PeerRecord, _ keys: [VerifyingKey]) -> PeerStatus {
    let certificate = try? MembershipCertificate.read(peer.certificate, signedByOneOf: keys)
    return PeerStatus(
      id: peer.id, name: peer.name, role: peer.role, owner: peer.owner, labels: peer.labels,
      admittedAt: peer.admittedAt,
      certificateEndsAt: peer.revokedAt == nil ? certificate.map { Double($0.notAfter) } : nil,
      revokedAt: peer.revokedAt)
  }
}
