internal import CZeroMQ
internal import Foundation
public import IorunCore
internal import IorunCrypto

/// A peer's long-term Curve25519 key pair: who it is on the mesh.
public struct CurveKey: Sendable {
  /// How many bytes either half has.
  public static let byteCount = 32

  /// The half that everybody may know.
  public let publicKey: [UInt8]
  /// The half that never leaves the process or its key file.
  let secretKey: [UInt8]

  /// The peer that this key makes.
  public var peer: PeerID { Self.peer(of: publicKey) }

  /// Draws a new pair.
  ///
  /// - Throws: `internalFault` where the random source fails.
  public init() throws {
    try self.init(secretKey: try SecureRandom.bytes(Self.byteCount))
  }

  /// Derives the pair of a secret half.
  ///
  /// - Throws: `identityUnusable` for a secret that is not 32 bytes.
  public init(secretKey: [UInt8]) throws {
    guard secretKey.count == Self.byteCount else {
      throw IorunError(
        .identityUnusable, "a Curve25519 key has 32 bytes, not \(secretKey.count)",
        remedy: "Restore the key's file from a backup, or join anew with an empty state folder")
    }
    self.secretKey = secretKey
    publicKey = try Self.derivePublic(secretKey)
  }

  /// The peer that a public key makes.
  public static func peer(of publicKey: [UInt8]) -> PeerID {
    let digest = SHA256.digest(of: publicKey).bytes
    return PeerID(bytes: digest.prefix(PeerID.byteCount)) ?? PeerID(high: 0, low: 0)
  }

  /// The secret half, for a process that is to use this identity. Keep it out of argv and logs.
  public func exportSecret() -> [UInt8] { secretKey }

  /// Reads the key file at `path`, or makes one (mode 0600).
  ///
  /// - Throws: `identityUnusable` where the file is damaged or open to others.
  public static func loadOrCreate(at path: String) throws -> CurveKey {
    if FileManager.default.fileExists(atPath: path) {
      return try CurveKey(secretKey: try PrivateFile.read(path, maximum: Self.byteCount))
    }
    let key = try CurveKey()
    try PrivateFile.write(key.secretKey, to: path)
    return key
  }

  /// libzmq works on Z85 text (ZeroMQ RFC 32); the wire and our files on bytes.
  private static func derivePublic(_ secret: [UInt8]) throws -> [UInt8] {
    var secretText = [CChar](repeating: 0, count: 41)
    var publicText = [CChar](repeating: 0, count: 41)
    var publicBytes = [UInt8](repeating: 0, count: byteCount)
    guard zmq_z85_encode(&secretText, secret, byteCount) != nil,
      zmq_curve_public(&publicText, &secretText) == 0,
      zmq_z85_decode(&publicBytes, &publicText) != nil
    else { throw ZMQContext.lastError("derive a public key") }
    return publicBytes
  }
}
