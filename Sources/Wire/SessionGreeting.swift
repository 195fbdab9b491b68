/// What a session's side says of itself, for the case that its packets pass a third process.
public struct SessionGreeting: Sendable, Hashable {
  /// The Curve25519 public key whose hash the sender's address is.
  public var publicKey: [UInt8]
  /// The X25519 public key that the sender drew for this session.
  public var ephemeralKey: [UInt8]
  /// Which of its peer's processes the sender is.
  public var instance: UInt64
  /// Proves that the sender has the secret halves and knows the receiver's greeting; else empty.
  public var proof: [UInt8]

  /// Makes a greeting.
  public init(
    publicKey: [UInt8], ephemeralKey: [UInt8], instance: UInt64, proof: [UInt8] = []
  ) {
    self.publicKey = publicKey
    self.ephemeralKey = ephemeralKey
    self.instance = instance
    self.proof = proof
  }
}
