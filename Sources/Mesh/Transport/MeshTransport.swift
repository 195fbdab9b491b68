public import IorunCore
public import IorunWire

/// Carries payloads between peers: in order per class, at most once, within credit, from whom the
/// other end proved to be. Implemented by `ZeroMQEndpoint` on sockets and by `InProcessEndpoint` for
/// tests; both run the same sessions.
public protocol MeshTransport: AnyObject, Sendable {
  /// This process.
  var localPeer: PeerID { get }

  /// Begins to deliver to `receiver`. Called once, before anything else.
  func start(_ receiver: any TransportReceiver)

  /// Queues a payload for a peer and returns at once.
  ///
  /// - Throws: `tooLarge` beyond `WireLimits.payloadBytes`; `overloaded` where more than the bound
  ///   is waiting for that peer. Nothing is queued then.
  func send(_ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass) throws

  /// The receiver is done with so many payload bytes of a peer: gives the sender its credit back.
  func consumed(_ byteCount: Int, from peer: PeerID, in trafficClass: TrafficClass)

  /// Runs tasks on the transport's own thread, where it has one: between what comes in and what goes
  /// out there is no switch of threads then. Only for tasks that are short and never block.
  var taskExecutor: (any TaskExecutor)? { get }

  /// Leaves the mesh. Waits at most `limit` until the other side has acknowledged what was sent.
  func stop(drainingFor limit: Duration) async
}

extension MeshTransport {
  /// None.
  public var taskExecutor: (any TaskExecutor)? { nil }
}

/// What a transport delivers. Called on the transport's own thread: must not block.
public protocol TransportReceiver: Sendable {
  /// Payloads, in order per peer and class.
  func received(_ batch: [InboundPayload])

  /// A peer's present incarnation is gone: calls to it that are open may or may not have run.
  func peerLost(_ peer: PeerID, _ error: IorunError)

  /// Called several times a second, for deadlines.
  func tick(now: MonotonicTime)
}

/// A payload and who sent it.
public struct InboundPayload: Sendable {
  /// The sending process's address, to which answers go.
  public var peer: PeerID
  /// Whose process that is, as proved: whose rights count.
  public var principal: PeerID
  /// The class it came in.
  public var trafficClass: TrafficClass
  /// The bytes.
  public var bytes: [UInt8]

  /// Makes an inbound payload.
  public init(peer: PeerID, principal: PeerID, trafficClass: TrafficClass, bytes: [UInt8]) {
    self.peer = peer
    self.principal = principal
    self.trafficClass = trafficClass
    self.bytes = bytes
  }
}
