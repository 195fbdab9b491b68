internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunCrypto
internal import IorunMesh
internal import IorunRuntime
internal import Logging
internal import Synchronization

/// A node's certificate and whom it believes: kept in the state folder, renewed over the mesh long
/// before its end, and at once when the head says that keys or revocations have changed.
final class NodeCredentials: Sendable {
  private struct State {
    var certificate: [UInt8]?
    /// Seconds since 1970 (UTC) from which a new certificate is asked for.
    var renewAt = 0.0
    var trust: NetworkTrust?
  }

  private let state = Mutex(State())
  private let publicKey: [UInt8]
  private let certificateFile: String
  private let trustFile: String
  private let now: @Sendable () -> Double
  private let logger: Logger

  /// Reads what an earlier run kept of the network with this head; a damaged file is as good as none,
  /// because the head gives both anew. Blocks on the disk.
  ///
  /// - Throws: `identityUnusable` where other users may open a file.
  init(
    folder: String, publicKey: [UInt8], head: PeerID, logger: Logger,
    now: @escaping @Sendable () -> Double = { Date().timeIntervalSince1970 }
  ) throws {
    self.publicKey = publicKey
    certificateFile = "\(folder)/certificate-\(head.short)"
    trustFile = "\(folder)/trust-\(head.short)"
    self.now = now
    self.logger = logger
    if let bytes = try Self.read(trustFile, TrustBundle.byteLimit) {
      let trust = try? NetworkTrust(pinning: bytes)
      state.withLock { $0.trust = trust }
    }
    if let bytes = try Self.read(certificateFile, MembershipCertificate.byteLimit) { keep(bytes) }
  }

  /// The node's certificate, for other peers; `nil` until the head gave one.
  var certificate: [UInt8]? { state.withLock(\.certificate) }

  /// Checks another peer's certificate; see ``NetworkTrust/check(_:of:roles:at:)``.
  ///
  /// - Throws: also `certificateInvalid` while this node has not heard whom to believe.
  func check(_ certificate: [UInt8], of publicKey: [UInt8], roles: Set<Role>) throws
    -> MembershipCertificate
  {
    guard let trust = state.withLock(\.trust) else {
      throw IorunError(
        .certificateInvalid, "this node has not heard yet whom to believe",
        remedy: "Wait until it has reached its head")
    }
    return try trust.check(certificate, of: publicKey, roles: roles, at: now())
  }

  /// What this node shows to other nodes that it has links with, and asks of them. They must be nodes:
  /// a supplier's, or the operator's own.
  ///
  /// - Parameter key: the public key of a peer with which this node has business.
  func forLinks(key: @escaping @Sendable (PeerID) -> [UInt8]?) -> LinkCredentials {
    LinkCredentials(
      certificate: { [self] in certificate },
      check: { [self] certificate, peer in
        guard let publicKey = key(peer) else {
          throw IorunError(.notAllowed, "this node has no business with peer \(peer.short)")
        }
        let known = try check(certificate, of: publicKey, roles: [.supplier, .operator])
        return Double(known.notAfter + NetworkTrust.clockSkew)
      },
      now: now)
  }

  /// The peers that were revoked, as far as this node has heard.
  var revoked: Set<PeerID> {
    state.withLock { Set($0.trust.map { Array($0.bundle.revocations.keys) } ?? []) }
  }

  /// Asks the head for a fresh certificate where one is due, or keys or revocations have changed.
  /// Returns the peers that this node hears to be revoked for the first time.
  func renew(ifNewer sequence: Int64, from admissions: Admissions) async -> Set<PeerID> {
    guard isDue(ifNewer: sequence) else { return [] }
    let before = revoked
    do {
      let fresh = try await MeshActorSystem.$callTimeout.withValue(.seconds(5)) {
        try await admissions.renew()
      }
      try await take(fresh)
    } catch {
      // Tried again with the next heartbeat; the certificate is good for hours.
      logger.warning("the certificate could not be renewed: \(error)")
    }
    return revoked.subtracting(before)
  }

  /// True where the certificate's half-life is near or over, or the head has told of a newer list.
  func isDue(ifNewer sequence: Int64) -> Bool {
    state.withLock { state in
      now() >= state.renewAt || sequence > (state.trust?.bundle.sequence ?? -1)
    }
  }

  /// Takes what the head gave, and keeps it.
  ///
  /// - Throws: `certificateInvalid` for authority keys that do not follow from those that were pinned,
  ///   or another key's certificate; `diskFull` or `fileSystem`.
  func take(_ admission: Admission) async throws {
    let before = state.withLock(\.trust)
    var trust = try before ?? NetworkTrust(pinning: admission.trust)
    try trust.take(admission.trust)
    _ = try trust.check(admission.certificate, of: publicKey, at: now())
    let taken = trust
    let (certificateFile, trustFile) = (certificateFile, trustFile)
    try await Blocking.run {
      if taken != before { try PrivateFile.write(taken.signedBundle, to: trustFile) }
      try PrivateFile.write(admission.certificate, to: certificateFile)
    }
    state.withLock { $0.trust = taken }
    keep(admission.certificate)
  }

  private func keep(_ certificate: [UInt8]) {
    let moment = now()
    state.withLock { state in
      guard let known = try? state.trust?.check(certificate, of: publicKey, at: moment) else {
        return
      }
      state.certificate = certificate
      // Half of its life is left for a head that is away; nodes do not all come at once.
      let life = Double(known.notAfter - known.notBefore)
      state.renewAt = Double(known.notBefore) + life * Double.random(in: 0.4...0.6)
    }
  }

  private static func read(_ path: String, _ limit: Int) throws -> [UInt8]? {
    do {
      return try PrivateFile.read(path, maximum: limit)
    } catch let error as IorunError where error.code == .fileMissing {
      return nil
    }
  }
}
