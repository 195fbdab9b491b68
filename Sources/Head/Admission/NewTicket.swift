/// A ticket that was just made: the key that its holder proves, and the text that people copy.
public struct NewTicket: Sendable {
  /// The Curve25519 public key of the ticket's secret, 32 bytes.
  public var publicKey: [UInt8]
  /// The ticket itself. A secret: it is handed to the operator and not kept.
  public var text: String

  /// Describes a new ticket.
  public init(publicKey: [UInt8], text: String) {
    self.publicKey = publicKey
    self.text = text
  }
}
