internal import Distributed
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Has actors made in other processes. Those that ask for nothing share a host process per node, and
/// making one is a message to it; others get a leased process of their own; listed ones are placed by
/// the head.
final class ActorSpawner: Sendable {
  private struct State {
    /// Shared hosts by what was asked for; a lease that is under way is one task for all who wait.
    var shared: [RuntimeDemand: Task<RuntimeLease, any Error>] = [:]
    /// The leases of actors with a process of their own.
    var own: [RuntimeActorID: RuntimeLease] = [:]
  }

  struct Create: Encodable {
    var actor: RuntimeActorID
    var name: String
    var namespace: String
    var className: String
    var detached: Bool
    var getIfExists: Bool
    var maxRestarts: Int
    var resources: ResourceAmounts
    var strategy: RuntimeDemand.Strategy
    var labels: [String: String]
    var fallback: [[String: String]]
    var environment: String
    var runtimeEnv: String
    var bundle: RuntimeDemand.Bundle?
    var methods: String
  }

  private struct Return: Encodable { let lease: UInt64, node: NodeID, broken: Bool }
  private struct Ready: Encodable {
    let actor: RuntimeActorID
    let failed: Bool
    let message: String
  }
  private struct Kill: Encodable { let actor: RuntimeActorID, noRestart: Bool }

  private let state = Mutex(State())
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// Has an actor made; returns before it is.
  func spawn<Act: SpawnableActor>(
    _ type: Act.Type, _ start: Act.Start, _ options: ActorOptions
  ) async throws -> Act {
    let name = TypeNames.name(of: type)
    guard process.actors.knows(name) else {
      throw IorunError(
        .targetNotFound, "\(name) is not registered",
        remedy: "Name it in `Cluster.run(actors:)`")
    }
    let payload = try Payload(start, in: process)
    let id =
      options.isListed
      ? try await list(name, payload, options) : try await place(name, payload, options)
    return try Act.resolve(id: id, using: process.actorSystem)
  }

  // MARK: Unlisted

  private func place(_ type: String, _ start: Payload, _ options: ActorOptions) async throws
    -> ClusterActorID
  {
    let demand = try options.demand(on: process.address.node)
    let isShared = demand.resources.isEmpty && demand.bundle == nil && !options.isolated
    let actor = process.actorSystem.freshID()
    // A process that runs actors itself makes more of them at home.
    if isShared, demand.labels.isEmpty, demand.fallback.isEmpty,
      demand.environment == RuntimeEnvironment.own.hash, demand.strategy == .standard,
      process.actors.count > 0
    {
      process.actors.make(
        actor, type: type, concurrency: options.maxConcurrency, start: start,
        creator: process.worker, isListed: false)
      return ClusterActorID(actor: actor, host: process.address, token: token(actor, nil))
    }
    let lease = isShared ? try await sharedHost(demand) : try await process.lease(demand)
    let peer = try process.peers.peer(ProcessAddress(node: lease.node, worker: lease.worker))
    try GrantedGPUs.tell(peer, lease)
    try process.objects.lend(start.objects, to: peer.address)
    try peer.send(.createActor) { frame in
      frame.append(id: actor)
      frame.append(integer: UInt32(clamping: options.maxConcurrency))
      frame.append(text: type)
      start.write(to: &frame)
    }
    if !isShared { state.withLock { $0.own[actor] = lease } }
    return ClusterActorID(actor: actor, host: peer.address, token: token(actor, peer))
  }

  private func token(_ actor: RuntimeActorID, _ peer: Peer?) -> ActorToken {
    let process = process
    return ActorToken { process.spawner.release(actor, at: peer) }
  }

  private func release(_ actor: RuntimeActorID, at peer: Peer?) {
    if let peer {
      // Where the process is gone, so is the actor.
      try? peer.send(.releaseActor) { $0.append(id: actor) }
      giveBack(actor)
    } else {
      process.actors.hosted(actor)?.release()
    }
  }

  /// The process that all actors of this kind share. Its lease is kept while this process lives.
  private func sharedHost(_ demand: RuntimeDemand) async throws -> RuntimeLease {
    if demand.strategy == .spread { return try await spreadHost() }
    let process = process
    let request = state.withLock { state in
      if let request = state.shared[demand] { return request }
      let request = Task { try await process.lease(demand) }
      state.shared[demand] = request
      return request
    }
    do {
      return try await request.value
    } catch {
      state.withLock { $0.shared[demand] = nil }
      throw error
    }
  }

  private let turn = Atomic<Int>(0)

  /// A host on each node in turn.
  private func spreadHost() async throws -> RuntimeLease {
    let nodes = try await process.nodes().filter(\.alive).map(\.node).sorted()
    guard !nodes.isEmpty else { throw IorunError(.noPlacement, "no node is alive") }
    let node = nodes[turn.add(1, ordering: .relaxed).oldValue % nodes.count]
    return try await sharedHost(
      RuntimeDemand(resources: ResourceAmounts(), strategy: .node(node, soft: true)))
  }

  /// The process of an actor is free for others; one that was killed is not used again.
  private func giveBack(_ actor: RuntimeActorID, broken: Bool = false) {
    guard let lease = state.withLock({ $0.own.removeValue(forKey: actor) }) else { return }
    process.hub.note(.leaseReturn, Return(lease: lease.lease, node: lease.node, broken: broken))
  }

  /// A process is gone: a host that ran there is asked for anew by the next actor.
  func lost(_ worker: WorkerID) {
    let own = state.withLock { state in
      state.own.filter { $0.value.worker == worker }.map(\.key)
    }
    for actor in own { giveBack(actor, broken: true) }
    let shared = state.withLock { $0.shared }
    for (demand, request) in shared {
      Task { [weak self] in
        guard let lease = try? await request.value, lease.worker == worker else { return }
        self?.state.withLock { $0.shared[demand] = nil }
      }
    }
  }

  // MARK: Listed

  private func list(_ type: String, _ start: Payload, _ options: ActorOptions) async throws
    -> ClusterActorID
  {
    guard start.objects.isEmpty else {
      throw IorunError(
        .specInvalid,
        "a named, detached or restartable actor cannot be made from object references",
        remedy: "Give them to it by a call, once it is there")
    }
    let actor = RuntimeActorID.random()
    let demand = try options.demand(on: process.address.node)
    var blob: [UInt8] = []
    blob.append(integer: UInt32(clamping: options.maxConcurrency))
    blob.append(integer: Int32(clamping: options.maxTaskRetries))
    blob.append(text: type)
    start.write(to: &blob)
    let answer = try await process.hub.request(
      .actorCreate,
      Create(
        actor: actor, name: options.name ?? "", namespace: process.namespace, className: type,
        detached: options.detached, getIfExists: options.getIfExists,
        maxRestarts: options.maxRestarts, resources: demand.resources, strategy: demand.strategy,
        labels: demand.labels, fallback: demand.fallback, environment: demand.environment,
        runtimeEnv: demand.runtimeEnv, bundle: demand.bundle, methods: "swift"),
      blob: blob)
    let status = try answer.decode(RuntimeActorStatus.self)
    process.directory.update(status)
    // Of one that existed already, its own word counts.
    let retries = try retries(answer.blob) ?? options.maxTaskRetries
    return ClusterActorID(actor: status.actor, host: nil, maxTaskRetries: retries)
  }

  /// How often lost calls of an actor are made again, as its creation says; `nil` where there is none.
  private func retries(_ creation: [UInt8]) throws -> Int? {
    guard !creation.isEmpty else { return nil }
    return try creation.withUnsafeBytes { bytes in
      var cursor = FrameCursor(bytes)
      _ = try cursor.integer(UInt32.self)
      return Int(try cursor.integer(Int32.self))
    }
  }

  /// The actor of a name.
  func named(_ name: String, _ namespace: String) async throws -> ClusterActorID {
    let answer = try await process.hub.request(
      .actorNamed, RuntimeActorName(name: name, namespace: namespace))
    let status = try answer.decode(RuntimeActorStatus.self)
    process.directory.update(status)
    return ClusterActorID(
      actor: status.actor, host: nil, maxTaskRetries: try retries(answer.blob) ?? 0)
  }

  /// The head has chosen this process for an actor.
  func assigned(_ actor: RuntimeActorID, creator: ProcessAddress?, _ blob: UnsafeRawBufferPointer)
    throws
  {
    var cursor = FrameCursor(blob)
    let concurrency = Int(try cursor.integer(UInt32.self))
    // Its callers' business.
    _ = try cursor.integer(Int32.self)
    let type = try cursor.text()
    let process = process
    process.actors.make(
      actor, type: type, concurrency: concurrency, start: try Payload(&cursor, in: process),
      creator: process.worker, isListed: true
    ) { error in
      var blob: [UInt8] = []
      if let error { process.errors.encode(error).write(to: &blob) }
      process.hub.note(
        .actorReady,
        Ready(actor: actor, failed: error != nil, message: error.map { "\($0)" } ?? ""),
        blob: blob)
    }
  }

  /// Ends an actor at once.
  func kill(_ id: ClusterActorID, noRestart: Bool) async throws {
    id.token?.escape()
    guard let host = id.host else {
      _ = try await process.hub.request(.actorKill, Kill(actor: id.actor, noRestart: noRestart))
      // The process may live a moment longer; calls that follow the kill do not go there.
      if noRestart { process.directory.killed(id.actor) }
      return
    }
    if host.worker == process.worker {
      process.actors.hosted(id.actor)?.end(IorunError(.actorNotFound, "the actor was killed"))
    } else {
      try process.peers.peer(host).send(.releaseActor, flags: 1) { $0.append(id: id.actor) }
      giveBack(id.actor, broken: true)
    }
  }
}

extension HexID {
  static func random() -> HexID {
    var generator = SystemRandomNumberGenerator()
    return HexID(using: &generator)
  }
}
