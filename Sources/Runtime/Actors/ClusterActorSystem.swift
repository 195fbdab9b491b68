public import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The distributed actors of a job, as one of its processes sees them.
///
/// A call is executed at most once. Calls of one caller to one actor are executed in the order in which
/// they were made. A call fails with a typed error when the actor's process is lost; then it may or may
/// not have run.
public final class ClusterActorSystem: DistributedActorSystem {
  /// Where an actor lives.
  public typealias ActorID = ClusterActorID
  /// Arguments and results travel as CBOR.
  public typealias SerializationRequirement = Codable & Sendable
  /// Collects a call's arguments.
  public typealias InvocationEncoder = ClusterCallEncoder
  /// Hands out a call's arguments.
  public typealias InvocationDecoder = ClusterCallDecoder
  /// Sends a call's result.
  public typealias ResultHandler = ClusterResultHandler

  /// How long remote calls of the present task wait; without end where nobody says otherwise.
  @TaskLocal public static var callTimeout: Duration?

  unowned let process: ClusterProcess
  private let nextNumber = Atomic<UInt64>(1)
  private let seed = UInt64.random(in: .min ... .max)

  init(_ process: ClusterProcess) { self.process = process }

  /// An id that no other actor of the job has.
  func freshID() -> RuntimeActorID {
    RuntimeActorID(high: seed, low: nextNumber.add(1, ordering: .relaxed).newValue)
  }

  // MARK: DistributedActorSystem

  /// The local actor of that id; `nil` tells Swift to make a reference to a remote one.
  ///
  /// - Throws: `actorNotFound` where the id names this process but no such actor is here.
  public func resolve<Act>(id: ActorID, as actorType: Act.Type) throws -> Act?
  where Act: DistributedActor, Act.ID == ActorID {
    if let actor = process.actors.hosted(id.actor)?.actor as? Act { return actor }
    guard id.host?.worker == process.worker else { return nil }
    throw IorunError(.actorNotFound, "no \(actorType) with id \(id.actor) is in this process")
  }

  /// Gives an actor its id before it is ready.
  public func assignID<Act>(_ actorType: Act.Type) -> ActorID
  where Act: DistributedActor, Act.ID == ActorID {
    ActorTable.wished ?? ClusterActorID(actor: freshID(), host: process.address)
  }

  /// Nothing: an actor that was spawned is told of by whoever made it, another one is not called from
  /// elsewhere.
  public func actorReady<Act>(_ actor: Act) where Act: DistributedActor, Act.ID == ActorID {}

  /// Nothing: an actor is forgotten before it goes.
  public func resignID(_ id: ActorID) {}

  /// Begins a call.
  public func makeInvocationEncoder() -> ClusterCallEncoder { ClusterCallEncoder(process: process) }

  /// Calls a method of an actor of another process and waits for its value.
  ///
  /// - Throws: what the method throws; `processLost`, `actorNotFound`, `timedOut` or `tooLarge` where
  ///   the call itself fails; `CancellationError` when the task is cancelled.
  public func remoteCall<Act, Err, Res>(
    on actor: Act, target: RemoteCallTarget, invocation: inout ClusterCallEncoder,
    throwing: Err.Type, returning: Res.Type
  ) async throws -> Res
  where Act: DistributedActor, Act.ID == ActorID, Err: Error, Res: Codable & Sendable {
    switch try await call(actor.id, target.identifier, invocation.payload) {
    case .value(let payload): return try payload.decode(Res.self, in: process)
    case .failure(let failure): throw process.errors.decode(failure)
    case .nothing, .stored:
      throw IorunError(.malformed, "\(actor.id) answered without the value that it owes")
    }
  }

  /// Calls a `Void` method of an actor of another process and waits for its end.
  ///
  /// - Throws: as `remoteCall`.
  public func remoteCallVoid<Act, Err>(
    on actor: Act, target: RemoteCallTarget, invocation: inout ClusterCallEncoder,
    throwing: Err.Type
  ) async throws where Act: DistributedActor, Act.ID == ActorID, Err: Error {
    if case .failure(let failure) = try await call(
      actor.id, target.identifier, invocation.payload)
    {
      throw process.errors.decode(failure)
    }
  }

  nonisolated(nonsending) private func call(
    _ id: ActorID, _ target: String, _ arguments: Payload
  ) async throws -> PeerReply {
    let deadline = Self.callTimeout.map { ContinuousClock.now + $0 }
    guard let host = id.host else {
      return try await process.directory.call(
        id.actor, target, arguments, retries: id.maxTaskRetries, deadline: deadline)
    }
    let peer = try process.peers.peer(host)
    try process.objects.lend(arguments.objects, to: peer.address)
    let number = Atomic<UInt64>(0)
    return try await withTaskCancellationHandler {
      try await withUnsafeThrowingContinuation { waiter in
        let own = process.replies.insert(waiter, from: peer.address.worker, deadline: deadline)
        number.store(own, ordering: .releasing)
        do {
          try peer.send(.call, aux: UInt16(target.utf8.count), number: own) { frame in
            frame.append(id: id.actor)
            frame.append(contentsOf: target.utf8)
            arguments.write(to: &frame)
          }
          // The handler below may have run before there was anything to cancel.
          if Task.isCancelled { cancel(own, of: id, at: peer) }
        } catch {
          process.replies.fail(own, error)
        }
      }
    } onCancel: {
      let own = number.load(ordering: .acquiring)
      if own != 0 { cancel(own, of: id, at: peer) }
    }
  }

  private func cancel(_ number: UInt64, of id: ActorID, at peer: Peer) {
    guard process.replies.fail(number, CancellationError()) else { return }
    // Where the process is gone there is nothing to cancel.
    try? peer.send(.cancelCall, number: number) { $0.append(id: id.actor) }
  }
}
