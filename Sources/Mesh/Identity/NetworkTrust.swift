public import IorunCore
internal import IorunCrypto

/// Whom a peer believes: the authority keys of its network and who was revoked. A value; time is an
/// argument.
public struct NetworkTrust: Sendable, Hashable {
  /// The bundle that was taken last.
  public private(set) var bundle: TrustBundle
  /// The same as it was signed, to be kept on disk.
  public private(set) var signedBundle: [UInt8]

  /// By how many seconds the clocks of two peers may differ.
  public static let clockSkew: Int64 = 300

  /// Pins the keys of a bundle that came over a link whose other end proved to be the network's head.
  ///
  /// - Throws: `certificateInvalid`.
  public init(pinning signedBundle: [UInt8]) throws {
    bundle = try TrustBundle.readNewestPinned(signedBundle)
    self.signedBundle = signedBundle
  }

  /// Takes a newer bundle; one that is not newer changes nothing.
  ///
  /// - Throws: `certificateInvalid` for one of another network or whose keys do not follow from those
  ///   that are known.
  public mutating func take(_ signedBundle: [UInt8]) throws {
    let next = try TrustBundle.read(signedBundle, pinned: bundle.authorities.map(\.key))
    guard next.network == bundle.network else {
      throw IorunError(.certificateInvalid, "these authority keys are another network's")
    }
    guard next.sequence > bundle.sequence else { return }
    bundle = next
    self.signedBundle = signedBundle
  }

  /// True where the peer was revoked and has no certificate since.
  public func isRevoked(_ certificate: MembershipCertificate) -> Bool {
    bundle.revocations[certificate.peer].map { certificate.notBefore <= $0 } ?? false
  }

  /// Reads a certificate and checks everything that it must be.
  ///
  /// - Parameters:
  ///   - bytes: the certificate as it travelled.
  ///   - publicKey: the key that the other side proved; the certificate must be that key's.
  ///   - roles: what the other side must be.
  ///   - now: seconds since 1970 (UTC).
  /// - Throws: `certificateInvalid` where it is not the network's, or another key's;
  ///   `certificateExpired`, `peerRevoked`; `notAllowed` for another role.
  public func check(
    _ bytes: [UInt8], of publicKey: [UInt8], roles: Set<Role> = Set(Role.allCases), at now: Double
  ) throws -> MembershipCertificate {
    let moment = Int64(now)
    let keys = bundle.authorities
      .filter { $0.acceptedUntil.map { moment < $0 } ?? true }
      .compactMap { try? VerifyingKey(rawRepresentation: $0.key) }
    let certificate = try MembershipCertificate.read(bytes, signedByOneOf: keys)
    guard certificate.network == bundle.network else {
      throw IorunError(.certificateInvalid, "the certificate is another network's")
    }
    guard constantTimeEqual(certificate.publicKey, publicKey) else {
      throw IorunError(
        .certificateInvalid,
        "the certificate is another peer's: it names \(certificate.peer.short)")
    }
    guard moment + Self.clockSkew >= certificate.notBefore,
      moment - Self.clockSkew < certificate.notAfter
    else {
      throw IorunError(
        .certificateExpired,
        "the certificate of \(certificate.peer.short) is not good at this time",
        remedy: "Check the clocks; a peer that reaches its head renews its certificate by itself")
    }
    guard !isRevoked(certificate) else {
      throw IorunError(
        .peerRevoked, "peer \(certificate.peer.short) was revoked",
        remedy: "An operator can let it in anew with a ticket and a new key")
    }
    guard roles.contains(certificate.role) else {
      throw IorunError(
        .notAllowed,
        "peer \(certificate.peer.short) is a \(certificate.role.rawValue) and may not do this")
    }
    return certificate
  }
}
