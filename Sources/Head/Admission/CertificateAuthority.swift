internal import Foundation
internal import GRDB
internal import IorunCore
internal import IorunCrypto
internal import IorunMesh
internal import Synchronization

/// Signs what the head says of its peers, with an Ed25519 key that never leaves the state folder, and
/// keeps the chain of its keys and who was revoked.
final class CertificateAuthority: Sendable {
  private struct State {
    var key: SigningKey
    var bundle: TrustBundle
    var signedBundle: [UInt8]
  }

  /// The network's name.
  let network: String
  private let state: Mutex<State>
  private let file: String
  private let store: Store

  /// For how many seconds a certificate is good: peers renew it long before.
  static let lifetime: Int64 = 24 * 3600
  private static let chainName = "authorities"
  private static let sequenceName = "trust_sequence"

  /// Opens the key in `file`, or makes one. Throws `identityUnusable`, `diskFull`, `fileSystem`.
  static func open(file: String, network: String, store: Store) async throws
    -> CertificateAuthority
  {
    let chain = try await store.meta(chainName).map(Self.chain) ?? []
    let sequence = try await store.meta(sequenceName).flatMap { Int64($0) } ?? 1
    let key = try await Blocking.run { try Self.key(file, newest: chain.last?.key) }
    let authorities =
      chain.isEmpty
      ? [.init(key: key.publicKey, acceptedUntil: nil, endorsement: [])] : chain
    let revocations = try await store.revocations()
    let bundle = TrustBundle(
      network: network, sequence: sequence, authorities: authorities, revocations: revocations)
    return CertificateAuthority(
      network: network, file: file, store: store,
      state: State(key: key, bundle: bundle, signedBundle: try bundle.signed(by: key)))
  }

  private init(network: String, file: String, store: Store, state: State) {
    self.network = network
    self.file = file
    self.store = store
    self.state = Mutex(state)
  }

  /// The 32 bytes with which others check certificates that are issued now.
  var publicKey: [UInt8] { state.withLock(\.key.publicKey) }

  /// Counts changes of keys and revocations.
  var sequence: Int64 { state.withLock(\.bundle.sequence) }

  /// The keys and revocations, signed.
  var signedBundle: [UInt8] { state.withLock(\.signedBundle) }

  /// The chain of keys, the oldest first.
  var authorities: [TrustBundle.Authority] { state.withLock(\.bundle.authorities) }

  /// A certificate for a day from `now` (seconds since 1970): the signed bytes and the signature.
  func issue(to peer: PeerRecord, now: Double) throws -> [UInt8] {
    let certificate = MembershipCertificate(
      network: network, serial: UInt64.random(in: 1 ... .max), publicKey: peer.publicKey,
      role: peer.role, owner: peer.owner, name: peer.name, labels: peer.labels,
      notBefore: Int64(now), notAfter: Int64(now) + Self.lifetime)
    return try certificate.signed(by: state.withLock(\.key))
  }

  /// Everybody is to hear that `peer` was revoked at `now`. What has expired anyway is dropped.
  /// `record` puts it on disk, in the same transaction.
  func revoke(
    _ peer: PeerID, now: Double, record: @escaping @Sendable (Database) throws -> Void
  ) async throws {
    try await change(record: record) { bundle in
      bundle.revocations[peer] = Int64(now)
      // A day, and what clocks may differ by.
      let end = Int64(now) - Self.lifetime - 2 * NetworkTrust.clockSkew
      bundle.revocations = bundle.revocations.filter { $0.value > end }
      guard bundle.revocations.count <= TrustBundle.revocationLimit else {
        throw IorunError(
          .overloaded, "\(TrustBundle.revocationLimit) peers were revoked within a day",
          remedy: "Replace the authority's key instead: `iorun authority rotate`")
      }
      return nil
    }
  }

  /// Puts a new key in the place of the present one. Certificates of the old one stay good for as long
  /// as the last of them, or end at once where `atOnce`: peers renew theirs within seconds. Throws
  /// `wrongState` while an earlier key is still accepted.
  func rotate(now: Double, atOnce: Bool) async throws {
    let moment = Int64(now)
    let present = state.withLock(\.key)
    try await change { bundle in
      let isOverlap = bundle.authorities.contains { ($0.acceptedUntil ?? 0) > moment }
      guard atOnce || !isOverlap else {
        throw IorunError(
          .wrongState, "the key before the present one is still accepted",
          remedy: "Wait until its time in `iorun authority show` is over, or rotate with --at-once")
      }
      let next = try SigningKey()
      let overlap = atOnce ? 0 : Self.lifetime + 2 * NetworkTrust.clockSkew
      for index in bundle.authorities.indices {
        bundle.authorities[index].acceptedUntil = min(
          bundle.authorities[index].acceptedUntil ?? .max, moment + overlap)
      }
      bundle.authorities.append(
        .init(
          key: next.publicKey, acceptedUntil: nil,
          endorsement: try present.sign(
            TrustBundle.endorsement(of: next.publicKey, network: bundle.network))))
      // Who slept through so many rotations joins anew.
      bundle.authorities = bundle.authorities.suffix(TrustBundle.authorityLimit)
      return next
    }
  }

  /// Makes a change durable, then visible. `body` returns the key that is to sign from now on, where
  /// that changes. Two changes at once: the later one to reach the disk is refused.
  private func change(
    record: @escaping @Sendable (Database) throws -> Void = { _ in },
    _ body: (inout TrustBundle) throws -> SigningKey?
  ) async throws {
    let before = state.withLock { $0 }
    var bundle = before.bundle
    let newKey = try body(&bundle)
    bundle.sequence += 1
    let key = newKey ?? before.key
    let signed = try bundle.signed(by: key)
    let (chain, sequence) = (Self.text(bundle.authorities), bundle.sequence)
    let newest = bundle.authorities.last?.key
    let file = file
    // First the new key beside the old one, then the chain that names it, then the new name: a crash
    // between two of these leaves a head that opens.
    if let newKey {
      try await Blocking.run {
        try PrivateFile.write(
          newKey.rawRepresentation, to: Self.fileOfNew(file, newKey.publicKey))
      }
    }
    try await store.write { db in
      let known = try Store.meta(Self.sequenceName, db).flatMap { Int64($0) } ?? 1
      guard known == sequence - 1 else {
        throw IorunError(
          .wrongState, "the authority was changed at the same time", remedy: "Try again")
      }
      try record(db)
      try Store.setMeta(Self.chainName, chain, db)
      try Store.setMeta(Self.sequenceName, "\(sequence)", db)
    }
    state.withLock { $0 = State(key: key, bundle: bundle, signedBundle: signed) }
    if newKey != nil {
      try await Blocking.run { _ = try Self.key(file, newest: newest) }
    }
  }

  /// The key in `file`; the one beside it where a rotation did not come to its end.
  private static func key(_ file: String, newest: [UInt8]?) throws -> SigningKey {
    let present: SigningKey
    do {
      present = try SigningKey(
        rawRepresentation: try PrivateFile.read(file, maximum: SigningKey.byteCount))
    } catch let error as IorunError where error.code == .fileMissing && newest == nil {
      let key = try SigningKey()
      try PrivateFile.write(key.rawRepresentation, to: file)
      return key
    }
    guard let newest, newest != present.publicKey else { return present }
    let fresh = fileOfNew(file, newest)
    guard
      let next = try? SigningKey(
        rawRepresentation: try PrivateFile.read(fresh, maximum: SigningKey.byteCount)),
      next.publicKey == newest
    else {
      throw IorunError(
        .identityUnusable, "\(file) is not the key that this network's database names",
        remedy: "Restore the head's folder from one backup, as a whole")
    }
    guard rename(fresh, file) == 0 else {
      throw IorunError.system("cannot put the new key in place of", file, errno: errno)
    }
    return next
  }

  private static func fileOfNew(_ file: String, _ publicKey: [UInt8]) -> String {
    file + "." + Base32.encode(publicKey).prefix(10)
  }

  private static func text(_ chain: [TrustBundle.Authority]) -> String {
    chain.map { authority in
      [
        Base32.encode(authority.key), authority.acceptedUntil.map(String.init) ?? "-",
        authority.endorsement.isEmpty ? "-" : Base32.encode(authority.endorsement),
      ].joined(separator: " ")
    }.joined(separator: "\n")
  }

  private static func chain(_ text: String) throws -> [TrustBundle.Authority] {
    try text.split(separator: "\n").map { line in
      let fields = line.split(separator: " ").map(String.init)
      guard fields.count == 3, let key = Base32.decode(fields[0]),
        let endorsement = fields[2] == "-" ? [] : Base32.decode(fields[2])
      else {
        throw IorunError(.identityUnusable, "the database's list of authority keys is damaged")
      }
      return .init(key: key, acceptedUntil: Int64(fields[1]), endorsement: endorsement)
    }
  }
}
