internal import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// The actors that this process runs.
final class ActorTable: Sendable {
  private struct State {
    var actors: [RuntimeActorID: HostedActor] = [:]
    /// Calls that came before the agent said which actor this process is to be.
    var early: [RuntimeActorID: [HostedCall]] = [:]
    var earlyCount = 0
    /// True once this process runs an actor: none is announced any more.
    var isSettled = false
    /// What the initializers of actors have thrown that are not here for that reason; the oldest are
    /// forgotten.
    var failed: [RuntimeActorID: any Error] = [:]
    var failedByAge: [RuntimeActorID] = []

    mutating func remember(_ actor: RuntimeActorID, _ error: any Error) {
      failed[actor] = error
      failedByAge.append(actor)
      if failedByAge.count > ActorTable.failedLimit { failed[failedByAge.removeFirst()] = nil }
    }
  }

  private static let failedLimit = 1000

  /// How long, and how many, calls wait for their actor to be announced.
  private static let earlyPatience = Duration.seconds(2)
  private static let earlyLimit = 10_000

  let methods = MethodTable()
  private let state = Mutex(State())
  private let registry: [String: ActorRegistration]
  private unowned let process: ClusterProcess

  @TaskLocal static var wished: ClusterActorID?

  init(_ process: ClusterProcess, actors: [ActorRegistration]) {
    self.process = process
    registry = Dictionary(actors.map { ($0.name, $0) }) { first, _ in first }
  }

  /// How many actors are here.
  var count: Int { state.withLock { $0.actors.count } }

  func hosted(_ id: RuntimeActorID) -> HostedActor? { state.withLock { $0.actors[id] } }

  /// True where the program can make such actors.
  func knows(_ typeName: String) -> Bool { registry[typeName] != nil }

  /// Makes an actor. Calls for it may come before it is made; `done` hears how that went.
  func make(
    _ id: RuntimeActorID, type: String, concurrency: Int, start: Payload, creator: WorkerID,
    isListed: Bool, done: @escaping @Sendable ((any Error)?) -> Void = { _ in }
  ) {
    let hosted = HostedActor(
      id, creator: creator, concurrency: concurrency, groups: registry[type]?.groups ?? [],
      process: process)
    let early = state.withLock { state -> [HostedCall] in
      state.actors[id] = hosted
      state.isSettled = true
      return state.early.removeValue(forKey: id) ?? []
    }
    for call in early { hosted.append(call) }
    let wished = ClusterActorID(actor: id, host: isListed ? nil : process.address)
    let process = process
    // Strong: a weak reference would slow down every retain and release of the table, in all calls.
    Task(executorPreference: process.executor) { [self] in
      do {
        guard let registration = registry[type] else {
          throw IorunError(
            .targetNotFound, "no actor type named '\(type)' is registered in the worker",
            remedy: "Name it in `Cluster.run(actors:)`, and run the same build everywhere")
        }
        let actor = try await Self.$wished.withValue(wished) {
          try await registration.make(start, process)
        }
        done(nil)
        hosted.made(actor)
      } catch {
        done(error)
        state.withLock { $0.remember(id, error) }
        hosted.end(error)
      }
    }
  }

  /// An actor has ended; later calls are told so.
  func forget(_ hosted: HostedActor) {
    state.withLock { state in
      if state.actors[hosted.id] === hosted { state.actors[hosted.id] = nil }
    }
  }

  /// Lets the actors end once their calls are done, and then calls `ended`.
  func drain(_ ended: @escaping @Sendable () -> Void) {
    for hosted in state.withLock({ Array($0.actors.values) }) { hosted.release() }
    Task { [self] in
      while count > 0 {
        // Cancelled or not, the actors end by themselves.
        try? await Task.sleep(for: .milliseconds(10))
      }
      ended()
    }
  }

  /// A process is gone, and the actors with it that it made here.
  func lost(_ worker: WorkerID) {
    let orphans = state.withLock { $0.actors.values.filter { $0.creator == worker } }
    for orphan in orphans {
      orphan.end(IorunError(.actorNotFound, "the actor ended with the process that made it"))
    }
  }

  // MARK: Calls

  /// A call from another process.
  func called(_ frame: LocalFrame, from peer: Peer) throws {
    var cursor = FrameCursor(frame.body)
    let actor = try cursor.id(RuntimeActorID.self)
    let target = try cursor.text(count: Int(frame.header.aux))
    let call = HostedCall(
      number: frame.header.number, target: target,
      arguments: try Payload(&cursor, in: process), peer: peer)
    if let hosted = hosted(actor) {
      hosted.append(call)
    } else if !keepEarly(call, actor) {
      refuse(call, actor)
    }
  }

  private func refuse(_ call: HostedCall, _ actor: RuntimeActorID) {
    let error: any Error =
      state.withLock({ $0.failed[actor] })
      ?? IorunError(
        .actorNotFound, "no actor \(actor) is in that process: it has ended",
        remedy: "Keep a reference to it, or give it a name")
    answer(call, .failure(process.errors.encode(error)))
  }

  /// A call through the agents may arrive before the agent's word that this process is to be that
  /// actor. True where the call waits for it.
  private func keepEarly(_ call: HostedCall, _ actor: RuntimeActorID) -> Bool {
    let (isKept, isFirst) = state.withLock { state -> (Bool, Bool) in
      guard process.role == "worker", !state.isSettled, state.earlyCount < Self.earlyLimit else {
        return (false, false)
      }
      state.earlyCount += 1
      state.early[actor, default: []].append(call)
      return (true, state.early[actor]?.count == 1)
    }
    if isFirst {
      Task { [self] in
        // Cancelled or not, the calls are answered.
        try? await Task.sleep(for: Self.earlyPatience)
        let late = state.withLock { $0.early.removeValue(forKey: actor) ?? [] }
        for call in late { refuse(call, actor) }
      }
    }
    return isKept
  }

  /// Executes a call and sends its outcome.
  func execute(_ call: HostedCall, on actor: any DistributedActor) async {
    do {
      if let method = try methods.method(call.target, of: type(of: actor)) {
        return answer(call, await method.reply(to: call.arguments, by: actor, in: process))
      }
      var decoder = ClusterCallDecoder(call.arguments, process: process)
      try await process.actorSystem.executeDistributedTarget(
        on: actor, target: RemoteCallTarget(call.target), invocationDecoder: &decoder,
        handler: ClusterResultHandler(call: call, process: process))
    } catch {
      let failure = error as? IorunError ?? .noSuchMethod(of: "the actor", cause: error)
      answer(call, .failure(process.errors.encode(failure)))
    }
  }

  /// Sends an outcome.
  func answer(_ call: HostedCall, _ reply: PeerReply) {
    process.answer(call.number, reply, to: call.peer)
  }
}
