internal import IorunCore
internal import IorunCrypto

/// What nodes say to reflectors and relays beside the datagrams that are relayed. Each begins with
/// `0x9C` and its kind. No answer is longer than its question, so that nobody can use a relay to
/// flood others.
enum RelayPacket: Hashable {
  /// The terms of a pass, as its holder repeats them.
  struct Terms: Hashable {
    var slot: UInt32
    var leg: RelayPass.Leg
    var expiresAt: UInt64
    var kilobytesPerSecond: UInt32
  }

  /// "From where do you see me?" Padded: the asker learns which sizes pass. With `fromOtherPort` the
  /// answer comes from the reflector's other port.
  case probe(transaction: UInt64, fromOtherPort: Bool, byteCount: Int)
  /// What the reflector saw, its other port, and how many bytes came.
  case seen(transaction: UInt64, address: SocketAddress, otherPort: UInt16, byteCount: UInt16)
  /// "I have a pass." Answered by a challenge, for which the relay keeps nothing.
  case bind(Terms, nonce: UInt64)
  /// "Then say so from where you say you are."
  case challenge(slot: UInt32, nonce: UInt64, cookie: [UInt8])
  /// The pass's terms and the challenge, under the pass's key.
  case answer(Terms, nonce: UInt64, cookie: [UInt8])
  /// From now on what comes from that address is relayed.
  case bound(slot: UInt32, nonce: UInt64, address: SocketAddress)

  static let firstByte: UInt8 = 0x9C
  static let macByteCount = 16
  static let cookieByteCount = 16
  /// Questions are at least so long.
  static let leastQuestion = 72
  static let longest = 9000

  /// The datagram, with a code under `key` where the kind has one.
  func bytes(key: [UInt8]) throws -> [UInt8] {
    var out: [UInt8] = [Self.firstByte, kind]
    switch self {
    case .probe(let transaction, let fromOtherPort, let count):
      out.append(fromOtherPort ? 1 : 0)
      out.append(bigEndian: transaction)
      let padding = max(count, Self.leastQuestion) - out.count - Self.macByteCount
      out += [UInt8](repeating: 0, count: max(padding, 0))
    case .seen(let transaction, let address, let otherPort, let count):
      out.append(0)
      out.append(bigEndian: transaction)
      out.append(bigEndian: otherPort)
      out.append(bigEndian: count)
      out += address.bytes
    case .bind(let terms, let nonce):
      out.append(0)
      Self.append(terms, nonce, to: &out)
      out += [UInt8](repeating: 0, count: Self.leastQuestion - out.count)
      return out
    case .challenge(let slot, let nonce, let cookie):
      out.append(0)
      out.append(bigEndian: slot)
      out.append(bigEndian: nonce)
      return out + cookie
    case .answer(let terms, let nonce, let cookie):
      out.append(0)
      Self.append(terms, nonce, to: &out)
      out += cookie
    case .bound(let slot, let nonce, let address):
      out.append(0)
      out.append(bigEndian: slot)
      out.append(bigEndian: nonce)
      out += address.bytes
    }
    return out + (try HMACSHA256.code(of: out, key: key).prefix(Self.macByteCount))
  }

  /// Reads a datagram; `nil` for anything that this version would not write. Codes are checked by
  /// `isAuthentic`, once the reader knows under which key.
  init?(_ datagram: [UInt8]) {
    guard datagram.count >= 3, datagram.count <= Self.longest, datagram[0] == Self.firstByte else {
      return nil
    }
    var rest = datagram.dropFirst(3)
    func number<Value: FixedWidthInteger & UnsignedInteger>(_: Value.Type) -> Value? {
      let count = MemoryLayout<Value>.size
      guard rest.count >= count else { return nil }
      defer { rest = rest.dropFirst(count) }
      return rest.prefix(count).reduce(0) { $0 << 8 | Value($1) }
    }
    func terms() -> (Terms, UInt64)? {
      guard let slot = number(UInt32.self), slot <= RelayPass.lastSlot,
        let leg = number(UInt8.self).flatMap(RelayPass.Leg.init(rawValue:)),
        let expiresAt = number(UInt64.self), let rate = number(UInt32.self),
        let nonce = number(UInt64.self)
      else { return nil }
      return (
        Terms(slot: slot, leg: leg, expiresAt: expiresAt, kilobytesPerSecond: rate), nonce
      )
    }
    let hasCode = rest.count >= Self.macByteCount
    switch datagram[1] {
    case 1:
      guard datagram[2] < 2, let transaction = number(UInt64.self), hasCode,
        datagram.count >= Self.leastQuestion
      else { return nil }
      self = .probe(
        transaction: transaction, fromOtherPort: datagram[2] == 1, byteCount: datagram.count)
    case 2:
      guard let transaction = number(UInt64.self), let port = number(UInt16.self),
        let count = number(UInt16.self), let (address, length) = SocketAddress.read(rest),
        rest.count == length + Self.macByteCount
      else { return nil }
      self = .seen(
        transaction: transaction, address: address, otherPort: port, byteCount: count)
    case 3:
      guard datagram.count == Self.leastQuestion, let (terms, nonce) = terms() else { return nil }
      self = .bind(terms, nonce: nonce)
    case 4:
      guard let slot = number(UInt32.self), slot <= RelayPass.lastSlot,
        let nonce = number(UInt64.self), rest.count == Self.cookieByteCount
      else { return nil }
      self = .challenge(slot: slot, nonce: nonce, cookie: Array(rest))
    case 5:
      guard let (terms, nonce) = terms(),
        rest.count == Self.cookieByteCount + Self.macByteCount
      else { return nil }
      self = .answer(terms, nonce: nonce, cookie: Array(rest.prefix(Self.cookieByteCount)))
    case 6:
      guard let slot = number(UInt32.self), slot <= RelayPass.lastSlot,
        let nonce = number(UInt64.self), let (address, length) = SocketAddress.read(rest),
        rest.count == length + Self.macByteCount
      else { return nil }
      self = .bound(slot: slot, nonce: nonce, address: address)
    default: return nil
    }
  }

  /// True where the datagram ends with its code under `key`.
  static func isAuthentic(_ datagram: [UInt8], key: [UInt8]) -> Bool {
    guard datagram.count > macByteCount,
      let code = try? HMACSHA256.code(of: Array(datagram.dropLast(macByteCount)), key: key)
    else { return false }
    return constantTimeEqual(
      Array(datagram.suffix(macByteCount)), Array(code.prefix(macByteCount)))
  }

  private var kind: UInt8 {
    switch self {
    case .probe: 1
    case .seen: 2
    case .bind: 3
    case .challenge: 4
    case .answer: 5
    case .bound: 6
    }
  }

  private static func append(_ terms: Terms, _ nonce: UInt64, to out: inout [UInt8]) {
    out.append(bigEndian: terms.slot)
    out.append(terms.leg.rawValue)
    out.append(bigEndian: terms.expiresAt)
    out.append(bigEndian: terms.kilobytesPerSecond)
    out.append(bigEndian: nonce)
  }
}
