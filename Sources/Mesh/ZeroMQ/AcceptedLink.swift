internal import IorunCore
internal import IorunWire

/// What a listening end knows of one link. Owned by the I/O thread.
struct AcceptedLink {
  let id: MeshEngine.LinkID
  /// The process's place on the mesh.
  let address: PeerID
  /// Whose process it is.
  let principal: PeerID
  /// What ZAP said on the greeting, with a zero at its end; every later message must say the same.
  let userID: [CChar]
  let connection: UInt64
  /// The version of the wire protocol that both speak.
  let version: UInt32
  /// Until when its certificate is good, in seconds since 1970 (UTC), where it had to show one.
  var goodUntil: Double?
  private(set) var lastHeard: MonotonicTime
  /// How long the time between two messages was lately, at most a second.
  private var usualPause = Duration.seconds(1)
  /// Whom its messages count for; `nil` until its first one came.
  var sender: MessageLimiter.Sender?
  /// The descriptor of its connection, for looking at only: it is libzmq's.
  var descriptor: Int32?
  var outbox = LinkOutbox()

  init(
    id: MeshEngine.LinkID, address: PeerID, principal: PeerID, userID: String,
    connection: UInt64, version: UInt32, now: MonotonicTime
  ) {
    self.id = id
    self.address = address
    self.principal = principal
    self.userID = Array(userID.utf8CString)
    self.connection = connection
    self.version = version
    lastHeard = now
  }

  /// True after a silence that is not usual here.
  func isQuiet(for silence: Duration) -> Bool {
    silence > max(Acceptor.quiet, usualPause * 3 / 2)
  }

  mutating func hear(now: MonotonicTime) {
    usualPause = max(min(now - lastHeard, .seconds(1)), usualPause * 7 / 8)
    lastHeard = now
  }
}
