internal import IorunCrypto

/// The side of a message's two codes that checks them (paper, 5.3 and 5.4.7): the first proves that
/// the sender knows our public key, the second that it receives what is sent to its address, which
/// is asked for only under load.
struct CookieChecker {
  private let firstKey: [UInt8]
  private let cookieKey: [UInt8]
  /// What cookies are made of, drawn anew every two minutes.
  private var secret: [UInt8] = []
  private var secretMade: Duration?

  /// How long a cookie is good.
  static let lifetime: Duration = .seconds(120)

  /// Checks messages to that key.
  init(key: TunnelPublicKey) {
    firstKey = Blake2s.hash(Array("mac1----".utf8), key.bytes)
    cookieKey = Blake2s.hash(Array("cookie--".utf8), key.bytes)
  }

  /// Whether the first code is right.
  func isFirstValid(_ message: [UInt8]) -> Bool {
    guard message.count > 32 else { return false }
    let expected = Blake2s.code(key: firstKey, message[..<(message.count - 32)])
    return constantTimeEqual(expected, Array(message[(message.count - 32)..<(message.count - 16)]))
  }

  /// Whether the second code is right for a message from that address.
  func isSecondValid(_ message: [UInt8], source: [UInt8], now: Duration) -> Bool {
    guard message.count > 32, let secretMade, now - secretMade < Self.lifetime else { return false }
    let cookie = Blake2s.code(key: secret, source)
    let expected = Blake2s.code(key: cookie, message[..<(message.count - 16)])
    return constantTimeEqual(expected, Array(message[(message.count - 16)...]))
  }

  /// The answer that tells the sender of a message its cookie.
  mutating func reply(
    to message: [UInt8], sender: UInt32, source: [UInt8], now: Duration,
    random: (Int) throws -> [UInt8]
  ) rethrows -> HandshakeMessage.CookieReply? {
    if secretMade.map({ now - $0 >= Self.lifetime }) ?? true {
      erase(&secret)
      secret = try random(32)
      secretMade = now
    }
    let nonce = try random(ExtendedNonce.byteCount)
    let firstCode = Array(message[(message.count - 32)..<(message.count - 16)])
    let sealed = ExtendedNonce.seal(
      Blake2s.code(key: secret, source), key: cookieKey, nonce: nonce, header: firstCode)
    return sealed.map {
      HandshakeMessage.CookieReply(receiver: sender, nonce: nonce, sealedCookie: $0)
    }
  }
}

/// The side that makes the codes, for messages to one peer.
struct CookieJar {
  private let firstKey: [UInt8]
  private let cookieKey: [UInt8]
  private var lastCode: [UInt8]?
  private var cookie: [UInt8]?
  private var cookieCame: Duration = .zero

  /// Makes codes for messages to that key.
  init(key: TunnelPublicKey) {
    firstKey = Blake2s.hash(Array("mac1----".utf8), key.bytes)
    cookieKey = Blake2s.hash(Array("cookie--".utf8), key.bytes)
  }

  /// The message with both codes; the second one is zero without a cookie that is good.
  mutating func sign(_ body: [UInt8], now: Duration) -> [UInt8] {
    let first = Blake2s.code(key: firstKey, body)
    lastCode = first
    // The other side may draw a new secret while the message travels: 5 s less than its time.
    guard let cookie, now - cookieCame < CookieChecker.lifetime - .seconds(5) else {
      return body + first + [UInt8](repeating: 0, count: Blake2s.macByteCount)
    }
    return body + first + Blake2s.code(key: cookie, body + first)
  }

  /// Takes a cookie; false where it does not answer our last message, or is forged. Each message is
  /// answered once.
  mutating func take(_ reply: HandshakeMessage.CookieReply, now: Duration) -> Bool {
    guard let code = lastCode,
      let opened = ExtendedNonce.open(
        reply.sealedCookie, key: cookieKey, nonce: reply.nonce, header: code)
    else { return false }
    lastCode = nil
    cookie = opened
    cookieCame = now
    return true
  }
}
