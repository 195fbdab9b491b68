internal import CShim
internal import Foundation
public import IorunCore
public import IorunWire
internal import Synchronization

/// The adjacent peer that a process dials and through which it reaches all others.
public struct MeshUplink: Sendable {
  /// A ZeroMQ address, for example `tcp://10.0.0.1:7070` or `ipc:///run/iorun/agent`.
  public var address: String
  /// The Curve25519 public key that the peer must prove.
  public var key: [UInt8]
  /// How the peer is told who this process is, where it does not know it yet.
  public var introduction: Introduction?
  /// What both ends are to show each other, where neither is the head.
  public var credentials: LinkCredentials?

  /// Describes an uplink.
  public init(
    address: String, key: [UInt8], introduction: Introduction? = nil,
    credentials: LinkCredentials? = nil
  ) {
    self.credentials = credentials
    self.address = address
    self.key = key
    self.introduction = introduction
  }
}

/// A process's place on the mesh over CurveZMQ: it may listen, dial one uplink, or both.
///
/// One thread (`mesh-io`) owns the sockets and the protocol state; others hand it commands through a
/// lock and an eventfd that is written only when the thread sleeps.
public final class ZeroMQEndpoint: MeshTransport {
  let identity: CurveKey
  /// The addresses it listens on, with the ports that the kernel chose.
  public let addresses: [String]
  let mailbox: EndpointMailbox
  private let executor: EndpointExecutor
  private let loop: Mutex<EndpointLoop?>
  /// What was dialled beside the uplink.
  let dialled = Mutex<[PeerID: DialledLink]>([:])
  let uplinkPeer: PeerID?
  /// What is known of the way to the uplink.
  public let uplinkMonitor = UplinkMonitor()
  /// What is known of the connections of those who dial this process.
  public let links = LinkBoard()

  /// This process.
  public let localPeer: PeerID

  /// The key that diallers must be given.
  public var publicKey: [UInt8] { identity.publicKey }

  /// Opens the sockets; nothing is received before `start`.
  ///
  /// - Parameters:
  ///   - listening: ZeroMQ addresses, for example `tcp://127.0.0.1:7070`.
  ///   - admits: which keys may connect to them.
  ///   - uplink: whom to dial.
  ///   - instance: which of the peer's processes this is, where it runs several at once.
  /// - Throws: `addressInUse` where an address cannot be had.
  public convenience init(
    identity: CurveKey, listening: [String] = [], admits: @escaping KeyAdmission = { _ in nil },
    uplink: MeshUplink? = nil, instance: UInt64 = MeshInstance.only
  ) throws {
    try self.init(
      identity: identity, listening: listening, admits: admits, uplink: uplink,
      instance: instance, security: .curve)
  }

  package convenience init(
    identity: CurveKey, listening: [String], admits: @escaping KeyAdmission, uplink: MeshUplink?,
    instance: UInt64 = MeshInstance.only, security: LinkSecurity,
    versions: ProtocolVersions = IorunVersion.wireProtocols
  ) throws {
    try self.init(
      identity: identity, listening: listening, admits: admits, uplink: uplink,
      instance: instance, security: security, versions: versions,
      limits: MessageLimiter.Limits())
  }

  init(
    identity: CurveKey, listening: [String], admits: @escaping KeyAdmission, uplink: MeshUplink?,
    instance: UInt64 = MeshInstance.only, security: LinkSecurity = .curve,
    versions: ProtocolVersions = IorunVersion.wireProtocols, limits: MessageLimiter.Limits
  ) throws {
    self.identity = identity
    localPeer = MeshInstance.address(of: instance, of: identity.peer)
    mailbox = try EndpointMailbox()
    executor = EndpointExecutor(mailbox: mailbox)
    uplinkPeer = uplink.map { CurveKey.peer(of: $0.key) }
    let sockets = LinkSockets(
      identity: identity, instance: instance, security: security, uplink: uplink,
      uplinkMonitor: uplinkMonitor, board: links, versions: versions, limits: limits)
    addresses = listening.isEmpty ? [] : try sockets.listen(on: listening, admits: admits).addresses
    if security == .curve, let address = addresses.first {
      try StrangerTest.run(at: address, serverKey: identity.publicKey)
    }
    loop = Mutex(
      EndpointLoop(
        local: localPeer, identity: try MeshIdentity(identity, instance: instance),
        sockets: sockets, mailbox: mailbox, executor: executor))
  }

  /// The I/O thread, for tasks that are short and never block; see `MeshTransport`.
  public var taskExecutor: (any TaskExecutor)? { executor }

  /// Begins to deliver. The loop moves to its own thread here.
  public func start(_ receiver: any TransportReceiver) {
    guard let loop = loop.withLock({ $0.take() }) else { return }
    // Nothing but the new thread refers to the loop from here on; starting a thread is a full
    // memory barrier, which is what libzmq asks for when sockets change threads.
    nonisolated(unsafe) let owned = loop
    let thread = Thread { owned.run(receiver) }
    thread.name = "mesh-io"
    thread.start()
  }

  /// Queues a payload; see `MeshTransport`.
  public func send(_ payload: [UInt8], to peer: PeerID, in trafficClass: TrafficClass) throws {
    try mailbox.send(payload, to: peer, in: trafficClass)
  }

  /// Gives credit back; see `MeshTransport`.
  public func consumed(_ byteCount: Int, from peer: PeerID, in trafficClass: TrafficClass) {
    mailbox.post(.consumed(byteCount, from: peer, trafficClass), isUrgent: false)
  }

  /// Admits peers that introduce themselves on a ticket's connection. Until it is set, none are.
  public func admitNewcomers(by admission: @escaping NewcomerAdmission) {
    mailbox.post(.newcomers(admission))
  }

  /// Replaces what this process relays between other peers.
  public func setRelays(_ table: RelayTable) { mailbox.post(.relays(table)) }

  /// Ends the session with a peer that is known to be gone for good.
  public func forget(_ peer: PeerID) { mailbox.post(.forget(peer)) }

  /// Closes all sockets and ends the thread, once what was sent has been acknowledged or `limit`
  /// has passed. Returns when that is done.
  public func stop(drainingFor limit: Duration = .seconds(1)) async {
    // A loop that was never started has nothing to drain; its sockets close with it.
    guard loop.withLock({ $0.take() }) == nil else { return }
    await withCheckedContinuation { continuation in
      mailbox.post(.stop(EndpointLoop.now() + limit) { continuation.resume() })
    }
  }
}
