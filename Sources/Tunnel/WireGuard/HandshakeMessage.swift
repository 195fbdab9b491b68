/// The three messages of WireGuard that are not data, as they stand on the wire (paper, 5.4).
enum HandshakeMessage: Equatable {
  /// Who wants a key begins.
  case initiation(Initiation)
  /// The answer.
  case response(Response)
  /// The answer of who has too much to do: come again with this proof of your address.
  case cookie(CookieReply)

  /// Type 1, 148 bytes.
  struct Initiation: Equatable {
    static let byteCount = 148
    var sender: UInt32
    var ephemeral: [UInt8]
    var sealedStatic: [UInt8]
    var sealedTimestamp: [UInt8]

    /// All but the two codes at the end.
    var body: [UInt8] { [1, 0, 0, 0] + sender.wire + ephemeral + sealedStatic + sealedTimestamp }
  }

  /// Type 2, 92 bytes.
  struct Response: Equatable {
    static let byteCount = 92
    var sender: UInt32
    var receiver: UInt32
    var ephemeral: [UInt8]
    var sealedNothing: [UInt8]

    /// All but the two codes at the end.
    var body: [UInt8] { [2, 0, 0, 0] + sender.wire + receiver.wire + ephemeral + sealedNothing }
  }

  /// Type 3, 64 bytes.
  struct CookieReply: Equatable {
    static let byteCount = 64
    var receiver: UInt32
    var nonce: [UInt8]
    var sealedCookie: [UInt8]

    /// The whole message.
    var bytes: [UInt8] { [3, 0, 0, 0] + receiver.wire + nonce + sealedCookie }
  }

  /// Reads a datagram; `nil` for whatever has not exactly one of the three forms. Codes and seals
  /// are not looked at.
  init?(_ datagram: [UInt8]) {
    guard datagram.count >= 4, datagram[1...3].allSatisfy({ $0 == 0 }) else { return nil }
    func part(_ start: Int, _ count: Int) -> [UInt8] { Array(datagram[start..<start + count]) }
    func index(_ start: Int) -> UInt32 { UInt32(wire: datagram[start..<start + 4]) }
    switch (datagram[0], datagram.count) {
    case (1, Initiation.byteCount):
      self = .initiation(
        Initiation(
          sender: index(4), ephemeral: part(8, 32), sealedStatic: part(40, 48),
          sealedTimestamp: part(88, 28)))
    case (2, Response.byteCount):
      self = .response(
        Response(
          sender: index(4), receiver: index(8), ephemeral: part(12, 32),
          sealedNothing: part(44, 16)))
    case (3, CookieReply.byteCount):
      self = .cookie(
        CookieReply(receiver: index(4), nonce: part(8, 24), sealedCookie: part(32, 32)))
    default:
      return nil
    }
  }
}

extension UInt32 {
  /// Little-endian, as all of WireGuard's numbers.
  var wire: [UInt8] { (0..<4).map { UInt8(truncatingIfNeeded: self >> UInt32(8 * $0)) } }

  /// Reads four bytes.
  init(wire bytes: ArraySlice<UInt8>) {
    self = bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
  }
}
