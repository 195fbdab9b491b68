internal import Dispatch
internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunRuntime
internal import IorunWire
internal import Logging
internal import Synchronization

/// A node's hub from outside: starts its thread, registers it at the head, stops it.
final class RuntimeHub: Sendable {
  /// The socket's path.
  let socketPath: String
  private let mailbox: HubMailbox
  private let cluster: ClusterControl
  private let removeSocket: @Sendable () -> Void
  private let node: PeerID

  /// Takes what an earlier run of the node left away, listens, and starts the thread.
  ///
  /// - Throws: `fileSystem`, `diskFull`, `internalFault`.
  init(
    settings: HubSettings, mailbox: HubMailbox, cluster: ClusterControl, system: MeshActorSystem,
    logger: Logger
  ) throws {
    // Two descriptors a process.
    OpenFileLimit.raise()
    ArenaFile.removeLeftovers(of: settings.node.peer)
    ArenaFile.removeOrphans()
    let socket = try HubSocket(
      nodeFolder: settings.folder, node: settings.node, admitsOthers: settings.sealed != nil)
    let hub = try Hub(
      settings: settings, socket: socket, mailbox: mailbox,
      remotes: HubRemotes(cluster: cluster, system: system), logger: logger)
    socketPath = socket.path
    node = settings.node.peer
    self.mailbox = mailbox
    self.cluster = cluster
    // The thread is the only one that touches the hub from here on.
    nonisolated(unsafe) let owned = hub
    nonisolated(unsafe) let ownedSocket = socket
    removeSocket = { ownedSocket.remove() }
    let thread = Thread { owned.run() }
    thread.name = "hub-io"
    thread.stackSize = 4 << 20
    thread.qualityOfService = .userInteractive
    thread.start()
    let again = { @Sendable [mailbox, cluster] in
      _ = Task { await Self.register(mailbox, cluster, logger) }
    }
    mailbox.post { $0.registerAgain = again }
    try socket.publish(node: settings.node, name: settings.name)
  }

  /// The head knows this node: it is told of the node's runtime side, whole. Tries until it has.
  func register(_ logger: Logger) async { await Self.register(mailbox, cluster, logger) }

  private static func register(
    _ mailbox: HubMailbox, _ cluster: ClusterControl, _ logger: Logger
  ) async {
    for attempt in 0..<5 {
      do {
        let registration = try await withCheckedThrowingContinuation {
          (continuation: CheckedContinuation<ClusterRegistration, any Error>) in
          if !mailbox.post({ continuation.resume(returning: $0.registration()) }) {
            continuation.resume(throwing: CancellationError())
          }
        }
        if Task.isCancelled { return }
        let over = try await MeshActorSystem.$callTimeout.withValue(.seconds(10)) {
          try await cluster.register(registration)
        }
        mailbox.post { $0.registered(over) }
        return
      } catch is CancellationError {
        // The hub is being stopped: there is nothing to register any more.
        return
      } catch {
        if Task.isCancelled { return }
        logger.warning("the head did not take the node's runtime side: \(error)")
        // Cancelled or not, the attempts are few; the next registration of the node tries again.
        try? await Task.sleep(for: .milliseconds(200 << attempt))
      }
    }
  }

  /// Serves the node's metrics on `HOST:PORT`.
  ///
  /// - Throws: `specInvalid`, `addressInUse`.
  func serveMetrics(on address: String) throws -> MetricsServer {
    try MetricsServer(address: address) { [mailbox] in
      // The scraper's own thread waits: the hub answers within a turn.
      let answer = Mutex<String?>(nil)
      let done = DispatchSemaphore(value: 0)
      let accepted = mailbox.post { hub in
        let text = hub.metricsText()
        answer.withLock { $0 = text }
        done.signal()
      }
      guard accepted, done.wait(timeout: .now() + 2) == .success else { return nil }
      return answer.withLock { $0 }
    }
  }

  /// Sets aside what a rank of a gang holds of the same machine. Throws `wrongState`.
  static func reserve(
    _ lease: LeaseID, _ amounts: ResourceAmounts, gpus: [Int], _ mailbox: HubMailbox
  ) async throws {
    // Leases that only wait for their holder's next task come back when they are asked for.
    for _ in 0..<30 {
      do {
        return try await reserveNow(lease, amounts, gpus: gpus, mailbox)
      } catch let error as IorunError where error.code == .wrongState {
        mailbox.post { $0.recallAll(sole: nil) }
        try await Task.sleep(for: .milliseconds(100))
      }
    }
    try await reserveNow(lease, amounts, gpus: gpus, mailbox)
  }

  private static func reserveNow(
    _ lease: LeaseID, _ amounts: ResourceAmounts, gpus: [Int], _ mailbox: HubMailbox
  ) async throws {
    try await withCheckedThrowingContinuation {
      (continuation: CheckedContinuation<Void, any Error>) in
      let accepted = mailbox.post { hub in
        continuation.resume(
          with: Result {
            try hub.scheduler.reserve(lease.description, amounts, gpus: gpus, hub)
          })
      }
      if !accepted {
        continuation.resume(
          throwing: IorunError(.unreachable, "the node's runtime side has stopped"))
      }
    }
  }

  /// Lets a scavenger use the idle machine (`HubScheduler.admitScavenger`).
  static func admitScavenger(
    memory: Int64, _ mailbox: HubMailbox, wanted: @escaping @Sendable () -> Void
  ) async -> Bool {
    await withCheckedContinuation { (continuation: CheckedContinuation<Bool, Never>) in
      let accepted = mailbox.post { hub in
        continuation.resume(returning: hub.scheduler.admitScavenger(memory: memory, wanted: wanted))
      }
      if !accepted { continuation.resume(returning: false) }
    }
  }

  /// How many processes of each program work here.
  func workingProcesses() async -> [JobID: Int] {
    await withCheckedContinuation { (continuation: CheckedContinuation<[JobID: Int], Never>) in
      if !mailbox.post({ continuation.resume(returning: $0.workingProcesses()) }) {
        continuation.resume(returning: [:])
      }
    }
  }

  /// Ends every process that works here.
  func endWork(reason: String) { mailbox.post { $0.endWork(reason: reason) } }

  /// Ends what works here for drivers of other nodes: the head counts this node as lost.
  func fence(reason: String) { mailbox.post { $0.fence(reason: reason) } }

  /// Ends every job's processes here, and the thread.
  ///
  /// - Returns: the other nodes. What was on its way to them is of no use any more.
  @discardableResult
  func stop() async -> [PeerID] {
    let others = await withCheckedContinuation {
      (continuation: CheckedContinuation<[PeerID], Never>) in
      let accepted = mailbox.post { hub in
        hub.beginStop()
        hub.scheduler.endScavenging(always: true)
        for job in Array(hub.jobs.values) { hub.abandon(job, reason: "its node was stopped") }
        let others = hub.nodes.nodes.map(\.node.peer).filter { $0 != hub.settings.node.peer }
        hub.stop { continuation.resume(returning: others) }
      }
      if !accepted { continuation.resume(returning: []) }
    }
    removeSocket()
    // Transfers that are still under way hold their arenas; this process ends now.
    ArenaFile.removeLeftovers(of: node)
    return others
  }
}
