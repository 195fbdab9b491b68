internal import Distributed
internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Logging
internal import Synchronization

/// One process of a runtime job, a driver or a worker: all its parts, and what the agent tells it.
///
/// Safety of `@unchecked Sendable`: the parts that are made after `init` (`store`, `welcome`) are set
/// by `connect`, before any other use.
final class ClusterProcess: @unchecked Sendable, HubLink.Delegate {
  /// What the agent answers to `hello`.
  struct Welcome: Decodable, Sendable {
    struct Arena: Decodable, Sendable { let path: String, size: Int }
    let `protocol`: Int
    let node: NodeID
    let nodeName: String?
    let address: String?
    let job: String
    let directory: String
    let arena: Arena
    let resources: ResourceAmounts
    let labels: [String: String]?
    let namespace: String?
    let head: String?
  }

  struct Hello: Encodable {
    var `protocol` = LocalLimits.versions.newest
    var oldestProtocol = LocalLimits.versions.oldest
    var sdk = "swift/0.2.0"
    var role: String
    var worker: WorkerID
    var job: String?
    var token: String?
    var pid = ProcessInfo.processInfo.processIdentifier
    var namespace: String?
    var name: String?
    var launcher: RuntimeJob.Launcher?
  }

  private struct PeerLost: Decodable {
    let worker: WorkerID
    let node: NodeID?
    let cause: ProcessLoss?
  }
  private struct NodeLost: Decodable { let node: NodeID, reason: String? }
  private struct Assign: Decodable {
    let actor: RuntimeActorID
    let creator: ProcessAddress?
    let gpus: [Int]?
  }
  private struct Exiting: Encodable { let intended: Bool, reason: String }
  private struct Lines: Decodable {
    let pid: Int?
    let name: String?
    let stream: String?
    let lines: [String]
    let dropped: Int?
  }
  private struct Recall: Decodable { let own: Bool? }
  private struct Stop: Decodable { let reason: String?, drain: Bool? }
  private struct Nothing: Encodable {}
  struct Nodes: Decodable { let nodes: [ClusterNode] }

  /// How long a process whose connection has ended may take to be told of by the agent.
  private static let causePatience = Duration.seconds(2)

  let worker: WorkerID
  let role: String
  let logger = Logger(label: "iorun.runtime")
  let errors = ErrorRegistry()
  let loop: StreamLoop
  let executor: ClusterExecutor
  let hub = HubLink()
  let replies = ReplyTable()
  let gpus = GrantedGPUs()
  let stopped = WaitGate()
  private let registration: (tasks: [TaskRegistration], actors: [ActorRegistration])
  private var connection: Connection?
  private var parts: Parts?

  /// Everything that refers back to the process. Each call looks here several times: a class, because
  /// to copy a struct of so many references costs more than to find them.
  private final class Parts {
    let peers: PeerTable
    let objects: ObjectTable
    let tasks: TaskScheduler
    let runner: TaskRunner
    let actors: ActorTable
    let directory: ActorDirectory
    let spawner: ActorSpawner
    let actorSystem: ClusterActorSystem
    let userInfo: [CodingUserInfoKey: Any]

    init(_ process: ClusterProcess, tasks: [TaskRegistration], actors: [ActorRegistration]) {
      peers = PeerTable(process)
      objects = ObjectTable(process)
      self.tasks = TaskScheduler(process)
      runner = TaskRunner(process, tasks: tasks)
      self.actors = ActorTable(process, actors: actors)
      directory = ActorDirectory(process)
      spawner = ActorSpawner(process)
      actorSystem = ClusterActorSystem(process)
      userInfo = [.actorSystemKey: actorSystem]
    }
  }

  /// What the agent has told; a class for the same reason.
  private final class Connection {
    let welcome: Welcome
    let address: ProcessAddress
    let store: ObjectStore

    init(_ welcome: Welcome, worker: WorkerID, store: ObjectStore) {
      self.welcome = welcome
      address = ProcessAddress(node: welcome.node, worker: worker)
      self.store = store
    }
  }

  init(
    worker: WorkerID, role: String, tasks: [TaskRegistration], actors: [ActorRegistration]
  ) throws {
    self.worker = worker
    self.role = role
    registration = (tasks, actors)
    loop = try StreamLoop()
    executor = ClusterExecutor(sockets: loop, threads: Self.threads)
    loop.attach(executor)
    parts = Parts(self, tasks: tasks, actors: actors)
    let peers = peers
    loop.onFlush { peers.flush() }
  }

  /// How many threads run the program's tasks: a processor each, unless the environment says otherwise.
  private static var threads: Int {
    let wish = ProcessInfo.processInfo.environment["IORUN_RUNTIME_THREADS"].flatMap(Int.init)
    return wish.map { min(max(1, $0), 256) } ?? ClusterExecutor.usualThreads
  }

  private var whole: Parts {
    guard let parts else { preconditionFailure("a process is used within its own initializer") }
    return parts
  }

  private var connected: Connection {
    guard let connection else { preconditionFailure("a process is used before it is connected") }
    return connection
  }

  var peers: PeerTable { whole.peers }
  var objects: ObjectTable { whole.objects }
  var tasks: TaskScheduler { whole.tasks }
  var runner: TaskRunner { whole.runner }
  var actors: ActorTable { whole.actors }
  var directory: ActorDirectory { whole.directory }
  var spawner: ActorSpawner { whole.spawner }
  var actorSystem: ClusterActorSystem { whole.actorSystem }
  var welcome: Welcome { connected.welcome }
  var address: ProcessAddress { connected.address }
  var store: ObjectStore { connected.store }
  var frames: FrameDispatcher { FrameDispatcher(process: self) }
  var results: ResultStore { ResultStore(process: self) }
  var cluster: Cluster { Cluster(process: self) }
  var namespace: String { welcome.namespace ?? "" }
  /// As many workers are asked for at once as the node could run twice over.
  var leaseLimit: Int { max(2, 2 * Int(welcome.resources[ResourceAmounts.cpu])) }

  /// Connects to the node's agent and listens for the other processes of the job.
  ///
  /// - Parameter folder: where the job's sockets are, if that is known before the agent says it: a
  ///   worker must be reachable as soon as the agent knows it.
  func connect(to hubPath: String, folder: String? = nil, hello: Hello) async throws {
    executor.start()
    let early = try folder.map { try UnixSocket.listen(at: "\($0)/\(worker).sock") }
    try hub.connect(to: hubPath, loop: loop, delegate: self)
    try await withUnsafeThrowingContinuation { (done: UnsafeContinuation<Void, any Error>) in
      do {
        _ = try hub.send(.hello, hello) { [self] result in
          // On the thread that reads the socket: what follows the answer finds the process ready.
          done.resume(with: Result { try welcomed(result.get().decode(Welcome.self)) })
        }
      } catch {
        done.resume(throwing: error)
      }
    }
    let listener = try early ?? UnixSocket.listen(at: socketPath(of: worker))
    // Strong, here and in the janitor: a weak reference would make every retain and release of the
    // process a slow one, and there are many in a call.
    try loop.listen(listener) { [self] in accepted($0) }
    startJanitor()
  }

  private func welcomed(_ welcome: Welcome) throws {
    _ = try LocalLimits.versions.agreed(
      with: ProtocolVersions(oldest: nil, newest: welcome.protocol), "local protocol",
      who: "the node's agent", own: "this program")
    let store = try ObjectStore(
      path: welcome.arena.path, size: welcome.arena.size, node: welcome.node, hub: hub)
    connection = Connection(welcome, worker: worker, store: store)
  }

  /// Where a process of this node listens: in its job's folder, which may be beside our own where the
  /// process is another driver's named actor.
  func socketPath(of worker: WorkerID) -> String {
    let own = "\(welcome.directory)/\(worker).sock"
    guard access(own, F_OK) != 0 else { return own }
    let jobs = (welcome.directory as NSString).deletingLastPathComponent
    let others = (try? FileManager.default.contentsOfDirectory(atPath: jobs)) ?? []
    return others.lazy.map { "\(jobs)/\($0)/\(worker).sock" }.first { access($0, F_OK) == 0 } ?? own
  }

  /// What coders need to know.
  var userInfo: [CodingUserInfoKey: Any] { whole.userInfo }

  /// Writes what was gathered, now.
  func flush() { loop.flush() }

  /// Answers another process.
  func answer(_ number: UInt64, _ reply: PeerReply, to peer: Peer) {
    do {
      switch reply {
      case .value(let payload):
        try objects.lend(payload.objects, to: peer.address)
        try peer.send(.reply, aux: ReplyKind.value, number: number) { payload.write(to: &$0) }
      case .nothing: try peer.send(.reply, aux: ReplyKind.nothing, number: number)
      case .failure(let failure):
        try peer.send(.reply, aux: ReplyKind.failure, number: number) { failure.write(to: &$0) }
      case .stored(let object):
        try objects.lend(object.objects, to: peer.address)
        try peer.send(.reply, aux: ReplyKind.stored, number: number) { object.write(to: &$0) }
      }
    } catch let error as IorunError where error.code == .tooLarge {
      // The answer does not fit: the caller must hear that rather than nothing.
      answer(number, .failure(errors.encode(error)), to: peer)
    } catch {
      logger.debug("an answer was not sent", metadata: ["error": "\(error)"])
    }
  }

  /// One worker, for as long as it is not given back.
  func lease(_ demand: RuntimeDemand) async throws -> RuntimeLease {
    try await hub.request(.lease, demand).decode(RuntimeLease.self)
  }

  /// The nodes of the cluster.
  func nodes() async throws -> [ClusterNode] {
    try await hub.request(.nodes, Nothing()).decode(Nodes.self).nodes
  }

  private func startJanitor() {
    Task { [self] in
      while !stopped.isDone {
        let isBusy = tasks.rebalance()
        tasks.tidy()
        replies.sweep()
        directory.sweep()
        // Cancelled or not, the task ends with the process.
        try? await Task.sleep(for: .milliseconds(isBusy ? 20 : 250))
      }
    }
  }

  // MARK: Other processes

  private func accepted(_ descriptor: Int32) {
    do {
      _ = try loop.add(descriptor) { GreetedStream($0, process: self) }
    } catch {
      logger.warning("a connection was not accepted", metadata: ["error": "\(error)"])
    }
  }

  /// The connection to a process has ended. The agent says why; if it does not, the process is lost
  /// all the same.
  func connectionEnded(_ address: ProcessAddress) {
    Task {
      // Cancelled or not, the process is lost.
      try? await Task.sleep(for: Self.causePatience)
      lost(address, IorunError(.processLost, "a process of the job has ended its connection"))
    }
  }

  /// A process is gone, and everything that was to come from it.
  func lost(_ address: ProcessAddress, _ error: IorunError) {
    guard peers.lost(address.worker, error) else { return }
    replies.failAll(from: address.worker, error)
    tasks.lost(address.worker, error)
    runner.lost(address.worker)
    actors.lost(address.worker)
    spawner.lost(address.worker)
    objects.lost(address.worker)
  }

  // MARK: The agent

  func parcel(from address: ProcessAddress, _ bytes: UnsafeRawBufferPointer) throws {
    let peer = peers.accepted(address, nil)
    try peer.connect()
    var rest = bytes
    while !rest.isEmpty {
      guard rest.count >= LocalHeader.byteCount else {
        throw IorunError(.malformed, "a parcel ends within a frame")
      }
      let header = try LocalHeader(rest)
      let end = LocalHeader.byteCount + header.bodyCount
      guard end <= rest.count else {
        throw IorunError(.malformed, "a parcel ends within a frame")
      }
      let body = UnsafeRawBufferPointer(rebasing: rest[LocalHeader.byteCount..<end])
      try frames.received(LocalFrame(header: header, body: body), from: peer)
      rest = UnsafeRawBufferPointer(rebasing: rest[end...])
    }
  }

  func event(_ operation: LocalOperation, _ message: LocalMessage) throws {
    switch operation {
    case .peerLost:
      let lost = try message.decode(PeerLost.self)
      let error = IorunError(
        .processLost, lost.cause?.message ?? "a process of the job is gone",
        remedy: lost.cause?.remedy)
      self.lost(
        ProcessAddress(node: lost.node ?? address.node, worker: lost.worker), error)
    case .nodeLost:
      let lost = try message.decode(NodeLost.self)
      for peer in peers.on(lost.node) {
        self.lost(
          peer, IorunError(.processLost, "its node is lost: \(lost.reason ?? "no reason given")"))
      }
    case .recall: tasks.recalled(isOwn: try message.decode(Recall.self).own ?? false)
    case .actor: directory.update(try message.decode(RuntimeActorStatus.self))
    case .assign:
      let assign = try message.decode(Assign.self)
      gpus.take(assign.gpus ?? [])
      try spawner.assigned(assign.actor, creator: assign.creator, message.blob)
    case .log: print(try message.decode(Lines.self))
    case .stop:
      let stop = try message.decode(Stop.self)
      let reason = stop.reason ?? ""
      if role == "worker" {
        if stop.drain == true { actors.drain { [self] in exit(reason) } } else { exit(reason) }
        return
      }
      logger.error("the agent ends this program", metadata: ["reason": "\(reason)"])
    default: break
    }
  }

  func hubEnded(_ error: IorunError?) {
    stopped.open()
    if role == "worker" { Foundation.exit(1) }
    let error = error ?? IorunError(.unreachable, "the node's agent is gone")
    replies.failAll(error)
    directory.failAll(error)
  }

  /// Ends this worker, in order.
  func exit(_ reason: String) {
    hub.note(.exiting, Exiting(intended: true, reason: reason))
    hub.flush()
    Foundation.exit(0)
  }

  /// Ends the driver's job.
  func bye() {
    hub.note(.bye, Nothing())
    flush()
    hub.flush()
    hub.close()
    stopped.open()
    executor.stop()
    unlink(socketPath(of: worker))
  }

  private func print(_ lines: Lines) {
    let prefix = "(\(lines.name ?? "worker") pid=\(lines.pid ?? 0))"
    var text = lines.lines.map { "\(prefix) \($0)\n" }.joined()
    if let dropped = lines.dropped, dropped > 0 { text += "\(prefix) [\(dropped) lines dropped]\n" }
    (lines.stream == "err" ? FileHandle.standardError : .standardOutput).write(Data(text.utf8))
  }
}
