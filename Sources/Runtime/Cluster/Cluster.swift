internal import Distributed
internal import IorunCore
public import IorunWire
internal import Synchronization

/// A runtime job as a program uses it: tasks, actors and objects anywhere in the cluster.
public struct Cluster: Sendable {
  let process: ClusterProcess

  private static let own = Mutex<ClusterProcess?>(nil)

  /// The cluster of this process: what an actor uses that was spawned.
  ///
  /// - Throws: `wrongState` outside `Cluster.run`.
  public static var current: Cluster {
    get throws {
      guard let process = own.withLock({ $0 }) else {
        throw IorunError(
          .wrongState, "this process takes part in no runtime job",
          remedy: "Use it within `Cluster.run`")
      }
      return Cluster(process: process)
    }
  }

  static func adopt(_ process: ClusterProcess?) { own.withLock { $0 = process } }

  // MARK: Tasks

  /// Starts a task; returns at once.
  ///
  /// - Throws: `tooLarge` for arguments beyond 31 MiB; `specInvalid` for resources that make no sense.
  public func submit<Work: RemoteTask>(_ task: Work, options: TaskOptions = TaskOptions())
    async throws
    -> ObjectRef<Work.Output>
  {
    let results = try process.tasks.submit(
      name: Work.name, arguments: try Payload(task, in: process), options: options, results: 1
    ).results
    return ObjectRef(results[0])
  }

  /// Starts a task that returns an array of `results` elements, each to be an object of its own.
  public func submit<Work: RemoteTask, Element: Codable & Sendable>(
    _ task: Work, results: Int, options: TaskOptions = TaskOptions()
  ) async throws -> [ObjectRef<Element>] where Work.Output == [Element] {
    guard results >= 2, results <= 60_000 else {
      throw IorunError(.specInvalid, "\(results) results; 2 to 60,000 are possible")
    }
    return try process.tasks.submit(
      name: Work.name, arguments: try Payload(task, in: process), options: options,
      results: results
    ).results.map { ObjectRef($0) }
  }

  /// Starts a task that makes one value after the other, and gives them as they come. The task waits
  /// when 16 values were not taken.
  public func stream<Work: StreamingTask>(_ task: Work, options: TaskOptions = TaskOptions()) throws
    -> TaskStream<Work.Element>
  {
    let record = try process.tasks.submit(
      name: Work.name, arguments: try Payload(task, in: process), options: options, results: 0,
      stream: StreamState()
    ).record
    return TaskStream(source: StreamSource(record: record, process: process))
  }

  /// Gives a task up. One that has not started is not run. One that runs is asked to end; with `force`
  /// its process is ended. With `recursive` the tasks that it has submitted are given up, too.
  public func cancel(
    _ ref: some AnyObjectRef, force: Bool = false, recursive: Bool = true
  ) async throws {
    guard let ref = ref as? any HandleHolder, ref.handle.isOwned else {
      throw IorunError(
        .notAllowed, "only the process that submitted a task can cancel it")
    }
    guard let record = ref.handle.task else { return }
    process.tasks.cancel(record, force: force, recursive: recursive)
  }

  // MARK: Objects

  /// Keeps a value as an object: small ones in this process, large ones in the node's shared memory.
  public func put<Value: Codable & Sendable>(_ value: Value) async throws -> ObjectRef<Value> {
    let handle = process.objects.make()
    switch try await process.results.store(value, as: handle.id, owner: process.address) {
    case .value(let payload): handle.complete(.value(payload))
    case .stored(let object): handle.complete(.stored(object))
    }
    return ObjectRef(handle)
  }

  /// The value of an object.
  ///
  /// - Throws: `timedOut` where it is not there in time; as `ObjectRef.value`.
  public func get<Value>(_ ref: ObjectRef<Value>, timeout: Duration? = nil) async throws -> Value {
    guard let timeout else { return try await ref.value }
    try await require([ref], timeout)
    return try await ref.value
  }

  /// The values of objects, in their order.
  public func get<Value>(_ refs: [ObjectRef<Value>], timeout: Duration? = nil) async throws
    -> [Value]
  {
    if let timeout { try await require(refs, timeout) }
    var values: [Value] = []
    values.reserveCapacity(refs.count)
    for ref in refs { values.append(try await ref.value) }
    return values
  }

  private func require<Value>(_ refs: [ObjectRef<Value>], _ timeout: Duration) async throws {
    let (_, rest) = try await wait(refs, count: refs.count, timeout: timeout)
    guard rest.isEmpty else {
      throw IorunError(
        .timedOut, "\(rest.count) of \(refs.count) objects were not there within \(timeout)",
        remedy: "The tasks go on: ask again, or cancel them")
    }
  }

  /// Waits until `count` of the objects are there, or the time is up: those that are, and the others,
  /// in their order. At most `count` are called ready.
  public func wait<Value>(
    _ refs: [ObjectRef<Value>], count: Int = 1, timeout: Duration? = nil
  ) async throws -> (ready: [ObjectRef<Value>], rest: [ObjectRef<Value>]) {
    guard count >= 0, count <= refs.count else {
      throw IorunError(.specInvalid, "cannot wait for \(count) of \(refs.count) objects")
    }
    var found = 0
    for ref in refs where found < count && ref.isReady { found += 1 }
    if found < count { try await waitFor(refs.map(\.handle), count, timeout) }
    var ready: [ObjectRef<Value>] = []
    var rest: [ObjectRef<Value>] = []
    ready.reserveCapacity(count)
    rest.reserveCapacity(refs.count - count)
    for ref in refs {
      if ready.count < count, ref.isReady { ready.append(ref) } else { rest.append(ref) }
    }
    return (ready, rest)
  }

  private func waitFor(_ handles: [ObjectHandle], _ count: Int, _ timeout: Duration?) async throws {
    let gate = WaitGate()
    let left = Countdown(count) { gate.open() }
    var waiters: [(ObjectHandle, UInt64)] = []
    for handle in handles {
      if let waiter = handle.whenReady({ left.step() }) {
        waiters.append((handle, waiter))
      } else {
        left.step()
      }
    }
    defer { for (handle, waiter) in waiters { handle.forget(waiter) } }
    let alarm = timeout.map { timeout in
      Task {
        // Cancelled when nobody waits any more.
        guard (try? await Task.sleep(for: timeout)) != nil else { return }
        gate.open()
      }
    }
    defer { alarm?.cancel() }
    try await process.tasks.waiting {
      try await withTaskCancellationHandler {
        try await withUnsafeThrowingContinuation { gate.wait($0) }
      } onCancel: {
        gate.cancel()
      }
    }
  }

  // MARK: Actors

  /// Has an actor made and gives a reference to it, before it is made: what its initializer throws,
  /// its first call throws. An actor without a name ends when its creator's last reference is gone,
  /// unless one has left the process.
  public func spawn<Act: SpawnableActor>(
    _ type: Act.Type, _ start: Act.Start, options: ActorOptions = ActorOptions()
  ) async throws -> Act {
    try await process.spawner.spawn(type, start, options)
  }

  /// The actor of that name.
  ///
  /// - Throws: `notFound` where there is none.
  public func actor<Act: SpawnableActor>(
    _ type: Act.Type, named name: String, namespace: String? = nil
  ) async throws -> Act {
    let id = try await process.spawner.named(name, namespace ?? process.namespace)
    return try Act.resolve(id: id, using: process.actorSystem)
  }

  /// Ends an actor at once. One with restarts left is started anew unless `noRestart`.
  public func kill<Act: SpawnableActor>(_ actor: Act, noRestart: Bool = true) async throws {
    try await process.spawner.kill(actor.id, noRestart: noRestart)
  }

  // MARK: Placement groups

  /// Reserves bundles of resources together; returns when they are reserved. With a name the group is
  /// found in any process by `placementGroup(named:)`, within the namespace.
  ///
  /// - Throws: `noPlacement` where no set of nodes can hold them; `timedOut`; `wrongState` where a
  ///   group of the namespace has the name.
  public func placementGroup(
    _ bundles: [[String: Double]], strategy: PlacementGroup.Strategy = .pack, name: String = "",
    namespace: String? = nil, detached: Bool = false, labels: [[String: String]] = [],
    maxRoundTripMilliseconds: Double? = nil, timeout: Duration? = nil
  ) async throws -> PlacementGroup {
    let group = PlacementGroup(id: .random(), bundles: bundles)
    let created = try await process.hub.request(
      .groupCreate,
      PlacementGroup.Create(
        group: group.id, bundles: try bundles.map { try ResourceAmounts(amounts: $0) },
        strategy: strategy, name: name, namespace: namespace, detached: detached, labels: labels,
        maxRoundTripMilliseconds: maxRoundTripMilliseconds)
    ).decode(PlacementGroup.Standing.self)
    switch created.state {
    case .created: return group
    case .infeasible:
      try await remove(group)
      throw IorunError(
        .noPlacement, created.reason ?? "no set of nodes can hold the placement group")
    case .pending, .rescheduling, .removed: break
    }
    let limit = timeout.map { Int(clamping: Int64($0 / .milliseconds(1))) } ?? -1
    let waited = try await process.hub.request(
      .groupWait, PlacementGroup.Wait(group: group.id, timeoutMilliseconds: limit)
    ).decode(PlacementGroup.Standing.self)
    guard waited.state == .created else {
      try await remove(group)
      throw IorunError(
        waited.state == .infeasible ? .noPlacement : .timedOut,
        waited.reason ?? "the placement group was not reserved in time",
        remedy: "Ask for less, or add nodes")
    }
    return group
  }

  /// The placement group of that name, of this program's namespace where none is said.
  ///
  /// - Throws: `notFound` where there is none.
  public func placementGroup(named name: String, namespace: String? = nil) async throws
    -> PlacementGroup
  {
    let found = try await process.hub.request(
      .groupNamed, PlacementGroupName(name: name, namespace: namespace ?? process.namespace)
    ).decode(PlacementGroup.Found.self)
    return PlacementGroup(id: found.group, bundles: found.bundles.map(\.resources.amounts))
  }

  /// Gives a group back; tasks and actors in it end.
  public func remove(_ group: PlacementGroup) async throws {
    _ = try await process.hub.request(.groupRemove, PlacementGroup.Named(group: group.id))
  }
}

/// Gives a reference's handle.
protocol HandleHolder { var handle: ObjectHandle { get } }
extension ObjectRef: HandleHolder {}
