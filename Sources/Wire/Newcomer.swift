/// A peer that asks to be admitted with the ticket whose key its connection proved.
public struct Newcomer: Sendable, Hashable {
  /// Its Curve25519 public key.
  public var publicKey: [UInt8]
  /// What people call it.
  public var name: String
  /// Proves that the sender has the key's secret half.
  public var proof: [UInt8]

  /// Describes a newcomer.
  public init(publicKey: [UInt8], name: String, proof: [UInt8]) {
    self.publicKey = publicKey
    self.name = name
    self.proof = proof
  }
}
