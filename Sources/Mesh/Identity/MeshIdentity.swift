internal import IorunCore
internal import IorunCrypto
internal import IorunWire

/// What one process proves end to end: its peer's static key and which of the peer's processes it is.
struct MeshIdentity: Sendable {
  let key: X25519
  let instance: UInt64

  init(_ key: CurveKey, instance: UInt64) throws {
    self.key = try X25519(secretKey: key.secretKey)
    self.instance = instance
  }

  /// The peer whose key a greeting claims, if the address that it was sent from is that key's.
  static func principal(of greeting: SessionGreeting, at address: PeerID) -> PeerID? {
    guard greeting.publicKey.count == X25519.byteCount,
      greeting.ephemeralKey.count == X25519.byteCount
    else { return nil }
    let principal = CurveKey.peer(of: greeting.publicKey)
    return MeshInstance.address(of: greeting.instance, of: principal) == address ? principal : nil
  }
}
