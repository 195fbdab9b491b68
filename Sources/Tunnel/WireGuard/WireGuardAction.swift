/// What a ``WireGuardMachine`` wants done.
enum WireGuardAction {
  /// Send a message where another one came from.
  case answer([UInt8], to: TunnelEndpoint)
  /// Send a message to wherever a peer is; nothing where that is not known.
  case send([UInt8], peer: Int)
  /// Use these keys with a peer.
  case install(WireGuardSession, peer: Int)
  /// A peer has proved that it is there: follow it, as far as it may roam.
  case follow(TunnelEndpoint, peer: Int)
  /// Send an empty packet.
  case keepalive(peer: Int)
  /// Erase a peer's keys, and drop what waits for one.
  case eraseKeys(peer: Int)
  /// Drop packets that wait for a key.
  case dropWaiting(peer: Int)
}

/// Keys that a handshake made.
struct WireGuardSession {
  /// For packets to the peer.
  var send: SecretBytes
  /// For packets from it.
  var receive: SecretBytes
  /// What stands in packets from the peer.
  var localIndex: UInt32
  /// What stands in packets to the peer.
  var remoteIndex: UInt32
  /// When they were made.
  var created: Duration
  /// Whether this side began. Who answered may use the keys once a packet has proved them.
  var isInitiator: Bool
}

/// What is known of a peer's packets: `nil` means never.
struct WireGuardTraffic: Equatable {
  /// When a packet that is not empty was sent.
  var dataSent: Duration?
  /// When an authentic packet that is not empty came.
  var dataReceived: Duration?
  /// When any packet was sent.
  var sent: Duration?
  /// When any authentic packet came.
  var received: Duration?
}
