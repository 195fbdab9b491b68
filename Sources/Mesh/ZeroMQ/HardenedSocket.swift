internal import CZeroMQ
internal import IorunCore
internal import IorunWire

/// Makes the only kinds of socket that carry mesh frames, with every option that keeps a stranger
/// out and a fault bounded. All options are set before bind or connect.
enum HardenedSocket {
  /// `ZMQ_ZAP_ENFORCE_DOMAIN`: in the library, but hidden in Debian's header (a draft option there).
  private static let enforceDomain: Int32 = 93

  /// The ZAP domain that names `token`'s admission rule.
  static func domain(_ token: UInt64) -> String { "iorun-\(token)" }

  /// A socket that listens: many peers, each proved by its key.
  static func listener(identity: CurveKey, domain: String, security: LinkSecurity) throws
    -> ZMQSocket
  {
    let socket = try ZMQSocket(ZMQ_ROUTER)
    try common(socket)
    // An unknown route is an error and not a silent drop; a peer cannot take another's route.
    try socket.set(ZMQ_ROUTER_MANDATORY, 1)
    try socket.set(ZMQ_ROUTER_HANDOVER, 0)
    try socket.set(ZMQ_BACKLOG, 1024)
    // While a peer says nothing its kernel is asked each second whether the connection stands: what
    // `Acceptor` tells a starved process from a lost machine by. After a minute without an answer the
    // kernel ends the connection.
    try socket.set(ZMQ_TCP_KEEPALIVE_IDLE, 1)
    try socket.set(ZMQ_TCP_KEEPALIVE_INTVL, 1)
    try socket.set(ZMQ_TCP_KEEPALIVE_CNT, 60)
    guard security == .curve else { return socket }
    try socket.set(ZMQ_CURVE_SERVER, 1)
    try socket.set(ZMQ_CURVE_SECRETKEY, identity.secretKey)
    try socket.set(ZMQ_ZAP_DOMAIN, Array(domain.utf8))
    // Without this libzmq admits every key whenever no ZAP handler answers.
    try socket.set(enforceDomain, 1)
    return socket
  }

  /// A socket that dials one peer whose key is known beforehand.
  static func dialler(
    identity: CurveKey, peerKey: [UInt8], security: LinkSecurity
  ) throws -> ZMQSocket {
    let socket = try ZMQSocket(ZMQ_DEALER)
    try common(socket)
    // We open every connection ourselves, with a greeting first: libzmq must not reconnect alone.
    try socket.set(ZMQ_RECONNECT_IVL, -1)
    switch security {
    case .curve:
      try socket.set(ZMQ_CURVE_SERVERKEY, peerKey)
      try socket.set(ZMQ_CURVE_PUBLICKEY, identity.publicKey)
      try socket.set(ZMQ_CURVE_SECRETKEY, identity.secretKey)
    case .plaintextForBenchmark:
      try socket.set(ZMQ_ROUTING_ID, Array("P\(identity.peer)".utf8))
    }
    return socket
  }

  private static func common(_ socket: ZMQSocket) throws {
    try socket.set(
      ZMQ_MAXMSGSIZE, wide: Int64(WireLimits.messageBytes + WireLimits.batchBytes))
    // Counts messages, each of up to `batchBytes` or one large frame; sessions bound the bytes.
    try socket.set(ZMQ_SNDHWM, 512)
    try socket.set(ZMQ_RCVHWM, 512)
    try socket.set(ZMQ_HANDSHAKE_IVL, 5000)
    try socket.set(ZMQ_TCP_KEEPALIVE, 1)
    try socket.set(ZMQ_IPV6, 1)
  }
}

/// Whether links are encrypted. There is no way to choose plaintext from outside this package.
package enum LinkSecurity: Sendable {
  /// CURVE: authenticated and encrypted.
  case curve
  /// Nothing: only to measure what CURVE costs.
  case plaintextForBenchmark
}
