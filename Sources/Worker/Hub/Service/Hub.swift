internal import CShim
internal import Foundation
internal import Glibc
internal import IorunContract
internal import IorunCore
internal import IorunWire
internal import Logging

/// The hub of a node: serves proto/local.md to the processes of runtime jobs. One thread, `hub-io`, owns
/// everything here; what can be answered from the node's own books is answered within the turn that
/// read the question, without a task or a lock. Calls to the head and to other nodes run in tasks and
/// come back through the mailbox.
///
/// Hot path: a turn reads what has come, answers into the queues, and sends each queue once.
final class Hub {
  let settings: HubSettings
  let socket: HubSocket
  let mailbox: HubMailbox
  let remotes: HubRemotes
  let logger: Logger

  private let poller: Int32
  private static let listenerKey: UInt64 = 0
  private static let mailboxKey: UInt64 = 1
  private var nextConnection: UInt64 = 2
  var connections: [UInt64: HubConnection] = [:]
  /// Connections that have something to send.
  private var dirty: [HubConnection] = []
  private var timers = HubTimers()
  private var stopped: (@Sendable () -> Void)?
  private(set) var isStopping = false

  var jobs: [JobID: HubJob] = [:]
  /// Jobs that ended lately: who comes late is told so.
  var endedJobs: [JobID] = []
  /// So many zygotes were started: what comes late from one is not taken for its successor's, not even
  /// where the job itself has ended and come back meanwhile.
  var zygotesStarted = 0
  let scheduler: HubScheduler
  /// The newest standing of actors that processes here asked for, and who asked.
  var actors = ActorTable()
  /// The cluster's nodes as the head last told.
  var nodes = NodeCache()
  var generator = SystemRandomNumberGenerator()
  var memoryPressure: MemoryPressure
  /// Processes that were ended for want of memory, and may still have it.
  var endedForMemory: [Int32] = []
  /// An `update` to the head is due.
  var isUpdateDue = false
  var isUpdateRunning = false
  /// Streams that have something to send at the end of the turn.
  var pumpLater: [(JobID, NodeID)] = []
  var isPumpDue = false
  /// The head knows this node's runtime side.
  var isRegistered = false
  /// How often a head has taken it.
  var registrations = 0
  var isRefreshing = false
  /// Counts this node's words to the head of what is free.
  var updateNumber: UInt64 = 0
  /// Registers this node at the head once more.
  var registerAgain: @Sendable () -> Void = {}
  /// What programs count themselves.
  var userMetrics = UserMetrics()
  /// Parcels of jobs of which the head has not told yet.
  var earlySegments = EarlySegments()
  /// Requests for leases that the head answers.
  var remoteRequests: Set<HubRequest.Ticket> = []
  /// Those of them that were taken back.
  var cancelledRequests: Set<HubRequest.Ticket> = []
  /// Demands that were decoded before, by their JSON: a driver asks the same thing again and again.
  var demands = DemandCache()

  init(
    settings: HubSettings, socket: HubSocket, mailbox: HubMailbox, remotes: HubRemotes,
    logger: Logger
  ) throws {
    self.settings = settings
    self.socket = socket
    self.mailbox = mailbox
    self.remotes = remotes
    self.logger = logger
    scheduler = HubScheduler(settings: settings)
    memoryPressure = MemoryPressure(settings: settings.memory)
    poller = iorun_poller_create()
    guard poller >= 0 else {
      throw IorunError(
        .internalFault, "cannot make a poller: error \(-poller)",
        remedy: "Raise the limit on open files (`ulimit -n`)")
    }
    iorun_poller_add(poller, socket.descriptor, Self.listenerKey, Int32(iorun_poller_read))
    iorun_poller_add(poller, mailbox.descriptor, Self.mailboxKey, Int32(iorun_poller_read))
  }

  deinit { close(poller) }

  // MARK: The thread

  /// The thread's whole life.
  func run() {
    after(.seconds(1)) { $0.sweep() }
    watchMemory()
    withUnsafeTemporaryAllocation(of: iorun_ready.self, capacity: 64) { ready in
      while stopped == nil {
        let work = mailbox.take(orSleep: true)
        let timeout = work.isEmpty ? timers.milliseconds(until: .now) : 0
        let count = iorun_poller_wait(poller, ready.baseAddress, 64, timeout)
        // Nobody needs to wake a thread that is awake.
        let more = mailbox.take(orSleep: false)
        for piece in work { piece(self) }
        for piece in more { piece(self) }
        for index in 0..<max(0, Int(count)) { handle(ready[index]) }
        for piece in timers.takeDue(.now) { piece(self) }
        if isPumpDue { pumpStreams() }
        flush()
      }
    }
    for connection in Array(connections.values) { drop(connection) }
    for work in mailbox.stop() { work(self) }
    stopped?()
  }

  /// Ends the thread once what is queued was sent.
  func stop(_ done: @escaping @Sendable () -> Void) { stopped = done }

  /// Refuses new work: the node is going.
  func beginStop() { isStopping = true }

  /// Runs `work` on this thread after a while.
  func after(_ delay: Duration, _ work: @escaping HubMailbox.Work) {
    timers.add(.now + delay, work)
  }

  private func sweep() {
    let now = ContinuousClock.now
    for connection in Array(connections.values) {
      if case .stranger = connection.role, now >= connection.helloBy { drop(connection) }
    }
    tidy(now)
    after(.seconds(1)) { $0.sweep() }
  }

  // MARK: Connections

  private func handle(_ event: iorun_ready) {
    switch event.key {
    case Self.listenerKey: accept()
    case Self.mailboxKey: _ = iorun_eventfd_drain(mailbox.descriptor)
    default:
      guard let connection = connections[event.key] else { return }
      if event.events & Int32(iorun_poller_write) != 0 { send(connection) }
      if event.events & Int32(iorun_poller_broken) != 0, !connection.isReadable {
        // Its process is gone, and what it still had to say waits for somebody else's queue.
        drop(connection)
      } else if event.events & Int32(iorun_poller_read) != 0 {
        read(connection)
      }
    }
  }

  private func accept() {
    // So many at once that a thousand at the door do not keep everybody else waiting.
    for _ in 0..<64 {
      var user: UInt32 = 0
      var pid: Int32 = 0
      let descriptor = iorun_unix_accept(socket.descriptor, &user, &pid)
      if descriptor == -EMFILE || descriptor == -ENFILE {
        logger.error("too many open files: raise `ulimit -n`; a process cannot reach its hub")
      }
      guard descriptor >= 0 else { return }
      guard user == getuid() || user == 0 || settings.sealed?.isUser(user) == true else {
        close(descriptor)
        continue
      }
      let connection = HubConnection(
        id: nextConnection, descriptor: descriptor, pid: pid, user: user,
        helloBy: .now + settings.helloLimit)
      nextConnection += 1
      connections[connection.id] = connection
      connection.watchedEvents = Int32(iorun_poller_read)
      iorun_poller_add(poller, descriptor, connection.id, connection.watchedEvents)
    }
  }

  /// One read, and every frame that is whole by it: so each connection has its turn.
  private func read(_ connection: HubConnection) {
    guard connection.isReadable else { return }
    let room = connection.reader.room()
    let count = Glibc.read(connection.descriptor, room.baseAddress, room.count)
    if count < 0, errno == EAGAIN || errno == EINTR { return }
    guard count > 0 else {
      drop(connection)
      return
    }
    connection.reader.commit(count)
    takeFrames(connection)
  }

  /// Handles every whole frame, as long as the connection may be read.
  func takeFrames(_ connection: HubConnection) {
    do {
      while connection.isReadable, let frame = try connection.reader.next() {
        try received(frame, from: connection)
      }
    } catch {
      refuse(connection, error)
    }
    watch(connection)
  }

  /// Reads all that a process said before it went.
  func drain(_ connection: HubConnection) {
    while !connection.isClosed {
      let room = connection.reader.room()
      let count = Glibc.recv(
        connection.descriptor, room.baseAddress, room.count, Int32(MSG_DONTWAIT))
      guard count > 0 else { return }
      connection.reader.commit(count)
      takeFrames(connection)
      // A process that waits for somebody else's queue is not waited for.
      if connection.reader.pendingBytes > LocalLimits.frameBytes { return }
    }
  }

  /// Says why, and closes once that is sent.
  func refuse(_ connection: HubConnection, _ error: any Error) {
    let failure = LocalFailure(error)
    logger.warning("a process's connection is closed: \(failure.message)")
    event(.stop, to: connection, ["reason": "\(failure.code): \(failure.message)"])
    connection.closesWhenSent = true
    send(connection)
    if connection.outgoing.byteCount == 0 { drop(connection) }
  }

  /// The connection's end is the process's end.
  func drop(_ connection: HubConnection) {
    guard !connection.isClosed else { return }
    connection.isClosed = true
    connections[connection.id] = nil
    close(connection.descriptor)
    resumeSenders(of: connection)
    closed(connection)
  }

  // MARK: Sending

  /// Notes that something waits; it is sent at the end of the turn.
  func touch(_ connection: HubConnection) {
    guard !connection.isDirty, !connection.isClosed else { return }
    connection.isDirty = true
    dirty.append(connection)
  }

  private func flush() {
    while !dirty.isEmpty {
      let connections = dirty
      dirty = []
      for connection in connections {
        connection.isDirty = false
        send(connection)
      }
    }
  }

  private func send(_ connection: HubConnection) {
    guard !connection.isClosed else { return }
    guard connection.outgoing.send(to: connection.descriptor) == 0 else {
      // What it sent before it went still counts.
      drain(connection)
      drop(connection)
      return
    }
    if connection.outgoing.byteCount < LocalLimits.waitingBytes / 2 {
      resumeSenders(of: connection)
    }
    if connection.closesWhenSent, connection.outgoing.byteCount == 0 {
      drop(connection)
    } else {
      watch(connection)
    }
  }

  private func watch(_ connection: HubConnection) {
    guard !connection.isClosed else { return }
    var events: Int32 = connection.isReadable ? Int32(iorun_poller_read) : 0
    // A process that does not read its answers asks no more questions.
    if connection.outgoing.byteCount > LocalLimits.waitingBytes { events = 0 }
    if connection.outgoing.byteCount > 0 { events |= Int32(iorun_poller_write) }
    guard events != connection.watchedEvents else { return }
    connection.watchedEvents = events
    iorun_poller_change(poller, connection.descriptor, connection.id, events)
  }

  /// `sender` is not read until `full`'s queue is shorter.
  func pause(_ sender: HubConnection, for full: HubConnection) {
    guard sender !== full, full.pausedSenders.insert(sender.id).inserted else { return }
    sender.pauses += 1
    watch(sender)
  }

  private func resumeSenders(of connection: HubConnection) {
    for done in connection.waitingDeliveries { done() }
    connection.waitingDeliveries = []
    guard !connection.pausedSenders.isEmpty else { return }
    let senders = connection.pausedSenders
    connection.pausedSenders = []
    for id in senders { resume(id) }
  }

  /// One reason less not to read a connection; what it had sent already is taken now.
  func resume(_ id: UInt64) {
    guard let sender = connections[id], sender.pauses > 0 else { return }
    sender.pauses -= 1
    if sender.pauses == 0 { takeFrames(sender) }
  }
}
