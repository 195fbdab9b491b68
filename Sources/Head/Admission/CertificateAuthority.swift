internal import IorunCore
internal import IorunCrypto

/// Signs what the head says of its peers, with an Ed25519 key that never leaves the state folder.
struct CertificateAuthority: Sendable {
  /// The network's name.
  let network: String
  private let key: SigningKey

  private static let lifetime: Double = 365 * 86_400

  /// Opens the key in `file`, or makes one. Throws `identityUnusable`, `diskFull`, `fileSystem`.
  static func open(file: String, network: String) async throws -> CertificateAuthority {
    let key = try await Blocking.run { () throws -> SigningKey in
      do {
        let secret = try PrivateFile.read(file, maximum: SigningKey.byteCount)
        return try SigningKey(rawRepresentation: secret)
      } catch let error as IorunError where error.code == .fileMissing {
        let key = try SigningKey()
        try PrivateFile.write(key.rawRepresentation, to: file)
        return key
      }
    }
    return CertificateAuthority(network: network, key: key)
  }

  private init(network: String, key: SigningKey) {
    self.network = network
    self.key = key
  }

  /// The 32 bytes with which others check certificates.
  var publicKey: [UInt8] { key.publicKey }

  /// A certificate for a year from `now` (seconds since 1970): the signed bytes and the signature.
  func issue(to peer: PeerID, role: Role, name: String, now: Double) throws -> [UInt8] {
    let certificate = MembershipCertificate(
      network: network, peer: peer, role: role, name: name, notBefore: Int64(now),
      notAfter: Int64(now + Self.lifetime))
    let body = certificate.body
    return body + (try key.sign(body))
  }
}
