internal import IorunCore
internal import IorunWire

/// One connection of the hub's socket. Belongs to the hub's thread.
final class HubConnection {
  /// Who is at the other end.
  enum Role {
    /// Nobody yet: it has not said hello.
    case stranger
    /// It said hello, and the head is asked about it: later frames wait.
    case greeting
    /// A driver or worker.
    case process(HubProcess)
    /// A zygote.
    case zygote(HubEnvironment)
  }

  /// Unique among the hub's connections, for ever.
  let id: UInt64
  let descriptor: Int32
  /// The process at the other end when it connected, as the kernel says.
  let pid: Int32
  /// Its user, as the kernel says.
  let user: UInt32
  let reader = LocalFrameReader()
  /// When a stranger is thrown out.
  let helloBy: ContinuousClock.Instant
  var role = Role.stranger
  /// The version of the local protocol that both speak, once it has said hello.
  var version = LocalLimits.versions.newest
  var outgoing = OutgoingQueue()
  /// Requests that are not answered yet.
  var openRequests = 0
  /// Connections that are not read until this one's queue is shorter.
  var pausedSenders: Set<UInt64> = []
  /// Calls of other nodes that are answered when this one's queue is shorter.
  var waitingDeliveries: [@Sendable () -> Void] = []
  /// How many queues this one waits for.
  var pauses = 0
  /// What the poller watches.
  var watchedEvents: Int32 = 0
  var isDirty = false
  var isClosed = false
  /// It is closed once what waits for it is sent.
  var closesWhenSent = false

  init(
    id: UInt64, descriptor: Int32, pid: Int32, user: UInt32, helloBy: ContinuousClock.Instant
  ) {
    self.user = user
    self.id = id
    self.descriptor = descriptor
    self.pid = pid
    self.helloBy = helloBy
  }

  /// The process at the other end, once it has said hello.
  var process: HubProcess? { if case .process(let process) = role { process } else { nil } }

  /// True where its frames are to be read now.
  var isReadable: Bool {
    if isClosed || closesWhenSent || pauses > 0 { return false }
    if case .greeting = role { return false }
    return true
  }
}
