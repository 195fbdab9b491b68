internal import IorunCore
internal import IorunCrypto
internal import IorunPoW

/// What a verifier needs to know and nobody else may: all of it follows from 32 bytes in the state
/// folder, so that a head that was killed issues, checks and signs as before.
struct VerifierSecrets: Sendable {
  /// Issues challenges and tells its own from others'.
  let issuer: ChallengeIssuer
  /// When windows begin.
  let schedule: EpochSchedule
  /// Signs the logs of verdicts.
  let signer: SigningKey
  private let beaconSecret: [UInt8]

  /// Reads the secret, or makes one. Blocks on the disk. Throws `identityUnusable`, `fileSystem`,
  /// `diskFull`.
  static func open(file: String) throws -> VerifierSecrets {
    let count = ChallengeIssuer.secretByteCount
    do {
      return try VerifierSecrets(PrivateFile.read(file, maximum: count))
    } catch let error as IorunError where error.code == .fileMissing {
      let root = try SecureRandom.bytes(count)
      try PrivateFile.write(root, to: file)
      return try VerifierSecrets(root)
    }
  }

  /// Takes 32 secret bytes. Throws `identityUnusable` for any other number.
  init(_ root: [UInt8]) throws {
    guard root.count == ChallengeIssuer.secretByteCount else {
      throw IorunError(
        .identityUnusable, "a verifier's secret has 32 bytes, not \(root.count)",
        remedy: "Restore the head's folder from a backup")
    }
    func part(_ name: String) throws -> [UInt8] {
      try HKDF.derive(root, info: Array("iorun/pow/1|\(name)".utf8), byteCount: 32)
    }
    issuer = try ChallengeIssuer(secret: part("challenges"))
    schedule = try EpochSchedule(secret: part("windows"))
    signer = try SigningKey(rawRepresentation: part("verdict log"))
    beaconSecret = try part("beacons")
  }

  /// The beacon of an epoch: committed to before, revealed at the window's start.
  func beacon(of epoch: Int64) throws -> Beacon {
    let code = try HMACSHA256.code(of: Array("beacon|\(epoch)".utf8), key: beaconSecret)
    guard let secret = Digest(bytes: code) else {
      throw IorunError(.internalFault, "a code has 32 bytes")
    }
    return Beacon(epoch: epoch, secret: secret)
  }

  /// What the seeds of an epoch are made of: of all verifiers' beacons, of which this is the only one.
  func combinedBeacon(of epoch: Int64) throws -> Digest {
    let beacon = try beacon(of: epoch)
    return try Beacon.combined([beacon], commitments: [beacon.commitment])
  }
}
