public import Distributed
public import IorunCore
public import IorunMesh
internal import IorunWire
internal import Logging
internal import Synchronization

/// The actor system of one process: its distributed actors can be called from any peer of the mesh,
/// and calls to other peers' actors leave through its transport.
///
/// A call is executed at most once. Calls of one caller to one actor are executed in the order in
/// which they were made. A call fails with a typed error when its deadline passes or its peer is
/// lost; then it may or may not have run.
public final class MeshActorSystem: DistributedActorSystem {
  /// Where an actor lives.
  public typealias ActorID = MeshActorID
  /// Arguments and results travel as CBOR.
  public typealias SerializationRequirement = Codable & Sendable
  /// Collects a call's arguments.
  public typealias InvocationEncoder = CallEncoder
  /// Hands out a call's arguments.
  public typealias InvocationDecoder = CallDecoder
  /// Sends a call's result.
  public typealias ResultHandler = CallResultHandler

  private struct Registration {
    weak var actor: (any DistributedActor)?
    var mailbox: ActorMailbox
  }

  private struct State {
    var actors: [String: Registration] = [:]
    var reserved: Set<String> = []
    var nextNumber: UInt64 = 1
  }

  let transport: any MeshTransport
  let calls = CallTable()
  let errors = ErrorRegistry()
  let methods = MethodTable()
  let logger = Logger(label: "iorun.runtime")
  private let state = Mutex(State())

  /// The peer that made the call which the present task executes, as the mesh proved it; `nil`
  /// outside a remote call.
  @TaskLocal public static var caller: PeerID?

  /// How long remote calls of the present task wait; 60 seconds where nobody says otherwise.
  @TaskLocal public static var callTimeout: Duration = .seconds(60)

  @TaskLocal static var reservedName: String?

  /// Starts the system on a transport that nobody else has started.
  public convenience init(transport: any MeshTransport) {
    self.init(transport: transport) { _ in }
  }

  /// Starts the system once the actors are there that the first call may be for.
  ///
  /// - Throws: what `serving` throws.
  public init(
    transport: any MeshTransport, serving: (MeshActorSystem) throws -> Void
  ) rethrows {
    self.transport = transport
    try serving(self)
    transport.start(InboundDispatcher(system: self))
  }

  /// This process.
  public var localPeer: PeerID { transport.localPeer }

  /// Makes an actor under a well-known name. The caller keeps the actor alive.
  ///
  /// - Throws: what `make` throws.
  public func named<Act: DistributedActor>(_ name: String, _ make: () throws -> Act) rethrows -> Act
  {
    try Self.$reservedName.withValue(name, operation: make)
  }

  /// Lets errors of a type cross the mesh as themselves.
  public func register<Failure: Error & Codable & Sendable>(error type: Failure.Type) {
    errors.register(type)
  }

  /// Lets calls that are being executed end and their answers arrive, at most for `limit`, and
  /// leaves the mesh. Calls of this process that are still open fail.
  public func shutdown(within limit: Duration) async {
    let deadline = ContinuousClock.now + limit
    while mailboxes().contains(where: { !$0.isIdle }), ContinuousClock.now < deadline {
      // Cancelled or not, the wait is bounded by the deadline.
      try? await Task.sleep(for: .milliseconds(2))
    }
    await transport.stop(drainingFor: max(.zero, deadline - ContinuousClock.now))
    calls.failAll(IorunError(.unreachable, "this process has left the mesh"))
  }

  /// Runs `body` on the transport's own thread, where the transport has one: a caller that makes one
  /// call after the other goes on in the moment in which an answer comes, without a switch of threads.
  /// Only for code that is short between two calls and never blocks: it would block the mesh.
  public func onTransport<Result: Sendable>(
    _ body: @Sendable () async throws -> Result
  ) async rethrows -> Result {
    try await withTaskExecutorPreference(transport.taskExecutor, operation: body)
  }

  // MARK: DistributedActorSystem

  /// The local actor of that id; `nil` tells Swift to make a reference to a remote one.
  ///
  /// - Throws: `actorNotFound` where the id names this process but no such actor is here.
  public func resolve<Act>(id: ActorID, as actorType: Act.Type) throws -> Act?
  where Act: DistributedActor, Act.ID == ActorID {
    guard id.peer == localPeer else { return nil }
    guard let actor = state.withLock({ $0.actors[id.name]?.actor }) as? Act else {
      throw IorunError(.actorNotFound, "no \(actorType) named '\(id.name)' is in this process")
    }
    return actor
  }

  /// Gives an actor its id before it is ready.
  public func assignID<Act>(_ actorType: Act.Type) -> ActorID
  where Act: DistributedActor, Act.ID == ActorID {
    let wished = Self.reservedName
    // Whoever holds the name leaves the lock with us: were this the last reference to it, its end
    // would call `resignID`, which takes the lock.
    let (name, _) = state.withLock { state in
      let present = wished.flatMap { state.actors[$0]?.actor }
      if let wished, present == nil, state.reserved.insert(wished).inserted {
        return (wished, present)
      }
      defer { state.nextNumber += 1 }
      return ("\(actorType)-\(state.nextNumber)", present)
    }
    return ActorID(peer: localPeer, name: name)
  }

  /// Opens an actor's mailbox.
  public func actorReady<Act>(_ actor: Act) where Act: DistributedActor, Act.ID == ActorID {
    let traits = Act.self as? any MailboxTraits.Type
    let mailbox = ActorMailbox(
      concurrency: traits?.maxConcurrentCalls ?? 1,
      executor: traits?.runsOnTransport == true ? transport.taskExecutor : nil, system: self)
    state.withLock { state in
      state.reserved.remove(actor.id.name)
      state.actors[actor.id.name] = Registration(actor: actor, mailbox: mailbox)
    }
  }

  /// Forgets an actor that is gone.
  public func resignID(_ id: ActorID) {
    // A later actor of the same name leaves the lock with us; see `assignID`.
    _ = state.withLock { state in
      state.reserved.remove(id.name)
      let present = state.actors[id.name]?.actor
      if present == nil { state.actors[id.name] = nil }
      return present
    }
  }

  /// Begins a call.
  public func makeInvocationEncoder() -> CallEncoder { CallEncoder() }

  // MARK: Inbound

  /// The actor of that name and its mailbox.
  func local(_ name: String) -> (actor: any DistributedActor, mailbox: ActorMailbox)? {
    state.withLock { state in
      guard let registration = state.actors[name], let actor = registration.actor else {
        return nil
      }
      return (actor, registration.mailbox)
    }
  }

  /// All mailboxes, for the rare call that is given up.
  func mailboxes() -> [ActorMailbox] { state.withLock { $0.actors.values.map(\.mailbox) } }
}
