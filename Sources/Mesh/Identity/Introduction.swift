public import IorunCore
internal import IorunCrypto
internal import IorunWire

/// How a peer that the other side does not know yet is admitted with its first connection: the
/// connection proves a ticket's key, the greeting names the peer's own. One connection instead of two
/// saves a join seven round trips.
public struct Introduction: Sendable {
  /// The ticket's key, which the other side admits.
  public var ticket: CurveKey
  /// What people are to call the peer.
  public var name: String

  /// Describes an introduction.
  ///
  /// - Throws: what the derivation of the ticket's key throws.
  public init(_ ticket: Ticket, name: String) throws {
    self.ticket = try ticket.key()
    self.name = name
  }

  /// What the greeting of a connection says.
  ///
  /// - Throws: `malformed` for a head's key with which nothing can be proved.
  func newcomer(
    _ identity: CurveKey, headKey: [UInt8], connection: UInt64, instance: UInt64
  ) throws -> Newcomer {
    let proof = try Self.proof(
      own: identity.secretKey, other: headKey, newcomer: identity.publicKey, ticket: ticket.peer,
      connection: connection, instance: instance)
    return Newcomer(publicKey: identity.publicKey, name: name, proof: proof)
  }

  /// The peer that a greeting introduces, if its sender has the key that it names. The proof is bound
  /// to the ticket, to this head, and to the connection's number; nobody but the head ever sees it.
  static func peer(
    of newcomer: Newcomer, head: CurveKey, ticket: PeerID, connection: UInt64, instance: UInt64
  ) -> PeerID? {
    guard newcomer.publicKey.count == CurveKey.byteCount,
      let proof = try? proof(
        own: head.secretKey, other: newcomer.publicKey, newcomer: newcomer.publicKey,
        ticket: ticket, connection: connection, instance: instance),
      constantTimeEqual(proof, newcomer.proof)
    else { return nil }
    return CurveKey.peer(of: newcomer.publicKey)
  }

  private static func proof(
    own: [UInt8], other: [UInt8], newcomer: [UInt8], ticket: PeerID, connection: UInt64,
    instance: UInt64
  ) throws -> [UInt8] {
    let shared = try X25519(secretKey: own).agree(with: other)
    let key = try HKDF.derive(
      shared, salt: Array("iorun newcomer 1".utf8), info: newcomer, byteCount: 32)
    let numbers = [connection, instance].flatMap { number in
      (0..<8).map { UInt8(truncatingIfNeeded: number >> (56 - 8 * $0)) }
    }
    return try HMACSHA256.code(of: ticket.bytes + numbers, key: key)
  }
}

/// Admits a newcomer, or throws what is told to it. Called in a task of its own.
public typealias NewcomerAdmission =
  @Sendable (_ publicKey: [UInt8], _ name: String, _ ticket: PeerID) async throws -> Void
