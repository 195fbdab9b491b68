internal import IorunCore
internal import IorunCrypto

/// What lets a new peer in: where the head is, which key it must prove, and a one-time secret.
///
/// The secret is itself a Curve25519 key that the head admits for one purpose. Whoever holds it
/// proves so in the CURVE handshake, so that no byte of a stranger reaches a decoder, and the
/// secret never travels.
public struct Ticket: Sendable {
  /// Where the head listens: `host:port`.
  public let address: String
  /// The head's Curve25519 public key.
  public let headKey: [UInt8]
  private let secret: [UInt8]

  /// How a ticket's text begins.
  public static let prefix = "iorun1"
  private static let secretByteCount = 16
  private static let checkByteCount = 3

  /// Makes a ticket with a fresh secret.
  ///
  /// - Throws: `internalFault` where the random source fails.
  public init(address: String, headKey: [UInt8]) throws {
    self.address = address
    self.headKey = headKey
    secret = try SecureRandom.bytes(Self.secretByteCount)
  }

  /// Reads a ticket that `text` wrote; spaces and line breaks around and within are ignored.
  ///
  /// - Throws: `ticketInvalid`, saying what is wrong.
  public init(_ text: String) throws {
    let compact = text.filter { !$0.isWhitespace }
    guard compact.hasPrefix(Self.prefix) else {
      throw Self.invalid("it does not begin with '\(Self.prefix)'")
    }
    guard let bytes = Base32.decode(String(compact.dropFirst(Self.prefix.count))) else {
      throw Self.invalid("it has a character that no ticket has, or is cut off")
    }
    let fixed = CurveKey.byteCount + Self.secretByteCount
    guard bytes.count > fixed + Self.checkByteCount, bytes.count <= fixed + 300 else {
      throw Self.invalid("it is cut off")
    }
    let body = Array(bytes.dropLast(Self.checkByteCount))
    guard Array(bytes.suffix(Self.checkByteCount)) == Self.check(body) else {
      throw Self.invalid("its check does not match: a character was changed or lost")
    }
    headKey = Array(body.prefix(CurveKey.byteCount))
    secret = Array(body[CurveKey.byteCount..<fixed])
    guard let address = String(validating: body.dropFirst(fixed), as: UTF8.self),
      Self.isAddress(address)
    else { throw Self.invalid("its address is not HOST:PORT") }
    self.address = address
  }

  /// The text that people copy. It is a secret.
  public var text: String {
    let body = headKey + secret + Array(address.utf8)
    return Self.prefix + Base32.encode(body + Self.check(body))
  }

  /// The key that the ticket's holder proves.
  ///
  /// - Throws: what the derivation throws.
  public func key() throws -> CurveKey {
    let digest = SHA256.digest(of: Array("iorun ticket 1".utf8) + secret)
    return try CurveKey(secretKey: digest.bytes)
  }

  /// True for `host:port` with a port from 1 to 65535; an IPv6 host stands in brackets.
  public static func isAddress(_ text: String) -> Bool {
    guard let colon = text.lastIndex(of: ":"), colon > text.startIndex,
      text[text.index(after: colon)...].allSatisfy({ $0.isASCII && $0.isNumber }),
      let port = UInt16(text[text.index(after: colon)...]), port > 0
    else { return false }
    let host = text[..<colon]
    if host.hasPrefix("[") {
      return host.hasSuffix("]") && host.count > 2
        && host.dropFirst().dropLast().allSatisfy { $0.isHexDigit || $0 == ":" || $0 == "." }
    }
    return !host.contains(":") && host.allSatisfy { $0.isASCII && !$0.isWhitespace }
  }

  private static func check(_ body: [UInt8]) -> [UInt8] {
    Array(SHA256.digest(of: body).bytes.prefix(checkByteCount))
  }

  private static func invalid(_ reason: String) -> IorunError {
    IorunError(
      .ticketInvalid, "this is not a ticket: \(reason)",
      remedy: "Copy the whole line that `iorun ticket create` printed")
  }
}
