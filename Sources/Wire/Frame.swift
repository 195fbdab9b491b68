/// One unit between two adjacent processes.
public enum Frame: Sendable, Hashable {
  /// The dialler's first frame: the newest and the oldest version that it speaks (0: that one only), the
  /// number of this connection, which of its peer's processes it is, on a ticket's connection who asks
  /// to be admitted, and between peers of which neither is the head its membership certificate.
  case hello(
    protocolVersion: UInt32, release: String, connection: UInt64, instance: UInt64,
    newcomer: Newcomer? = nil, certificate: [UInt8] = [], oldestVersion: UInt32 = 0)
  /// The answer that admits a link, with the version to speak; with a certificate where the greeting had one.
  case welcome(
    protocolVersion: UInt32, release: String, connection: UInt64, certificate: [UInt8] = [])
  /// The answer that refuses it, with the number behind `IOR-`.
  case refusal(code: Int, message: String, remedy: String)
  /// A heartbeat; the token comes back in a `pong`.
  case ping(token: UInt64)
  /// A heartbeat's echo.
  case pong(token: UInt64)
  /// A packet on its way.
  case packet(Packet)
}
