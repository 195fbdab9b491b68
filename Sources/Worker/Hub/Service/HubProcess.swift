internal import CShim
internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunSandbox
internal import IorunWire

/// A driver or worker of a runtime job on this node, from the moment it is promised to its end.
/// Belongs to the hub's thread.
final class HubProcess {
  /// What it is for.
  enum Use {
    /// Submits work.
    case driver
    /// Runs tasks.
    case tasks
    /// Is an actor.
    case actor(HubActor)
  }

  /// How a zygote saw it end.
  struct Exit: Sendable {
    var status: Int?
    var signal: Int?
    var maxResidentBytes: Int64?
    var lastLines: [String] = []
  }

  let worker: WorkerID
  let job: HubJob
  let environment: String
  var use: Use
  /// `nil` until it has said hello, and again once it is gone.
  var connection: HubConnection?
  var pid: Int32?
  /// The process by a descriptor: a signal through it never reaches another one.
  private var pidDescriptor: Int32 = -1
  /// Its id in its sandbox, and that, until it connects and the kernel tells the host's.
  private var inside: (id: Int32, box: SandboxProcess)?
  /// Parcels that came before its hello.
  var early: [[UInt8]] = []
  var earlyBytes = 0
  /// Why the hub ends it, where the hub does.
  var order: (reason: String, isIntended: Bool, isOutOfMemory: Bool)?
  /// What it said of its own end.
  var farewell: (reason: String, isIntended: Bool)?
  /// How it ended.
  var exit: Exit?
  /// It was given leases: it may have idle ones.
  var holdsLeases = false
  /// Why it never came, where that is known.
  var startFailure: ProcessLoss?
  var isGone = false
  /// Variables of its own.
  var variables: [String: String] = [:]
  /// Its tree, where it is a program below a supervisor of its own.
  var program: RankProcess?
  /// Actors that live only as long as this process.
  var children: Set<RuntimeActorID> = []
  /// Processes of other jobs on other nodes that have called it by its name.
  var callers: [WorkerID: (job: JobID, address: ProcessAddress)] = [:]
  private var livesSince: ContinuousClock.Instant?

  init(worker: WorkerID, job: HubJob, environment: String, use: Use) {
    self.worker = worker
    self.job = job
    self.environment = environment
    self.use = use
  }

  deinit { if pidDescriptor >= 0 { close(pidDescriptor) } }

  /// Its process id is known; it lives now.
  func lives(as pid: Int32) {
    guard self.pid == nil else { return }
    self.pid = pid
    livesSince = .now
    // A test plays its processes itself.
    guard pid != getpid() else { return }
    pidDescriptor = iorun_pidfd_open(pid)
  }

  /// It lives in a sandbox. The id is what a program of a stranger's says: it names processes of that
  /// sandbox and no others.
  func lives(in box: SandboxProcess, as id: Int32) {
    guard pid == nil, inside == nil else { return }
    inside = (id, box)
    livesSince = .now
  }

  /// True where it was forked so long ago that it should have said hello.
  func isLate(_ now: ContinuousClock.Instant, _ limit: Duration) -> Bool {
    guard connection == nil, let livesSince else { return false }
    return now - livesSince > limit
  }

  /// Sends SIGKILL. Nothing where it is gone.
  func kill() {
    program?.kill()
    if pidDescriptor >= 0 {
      _ = iorun_pidfd_signal(pidDescriptor, SIGKILL)
    } else if let (id, box) = inside {
      // It reads files of the kernel's: not in the hub's thread.
      Thread.detachNewThread { box.kill(inside: id) }
    }
  }

  var isDriver: Bool { if case .driver = use { true } else { false } }
  var actor: HubActor? { if case .actor(let actor) = use { actor } else { nil } }
}

/// One incarnation of an actor on this node. Belongs to the hub's thread.
final class HubActor {
  let spec: RuntimeActorSpec
  /// Counts its places.
  let incarnation: Int
  /// How many of them were lost.
  let restarts: Int
  let worker: WorkerID
  /// Its hold on the node's resources.
  var hold: UInt64
  var devices: RuntimeDevices
  var isReady = false
  /// What its constructor has thrown, as its SDK writes it.
  var error: Data?
  /// True once it was told to end when its queue is empty.
  var isReleased = false

  init(
    spec: RuntimeActorSpec, incarnation: Int, restarts: Int, worker: WorkerID, hold: UInt64,
    devices: RuntimeDevices
  ) {
    self.spec = spec
    self.incarnation = incarnation
    self.restarts = restarts
    self.worker = worker
    self.hold = hold
    self.devices = devices
  }

  /// Where it stands, in the head's words.
  func status(_ state: RuntimeActorStatus.State, node: NodeID, cause: ProcessLoss? = nil)
    -> RuntimeActorStatus
  {
    var status = RuntimeActorStatus(spec, state: state)
    status.node = node
    status.worker = worker
    status.incarnation = incarnation
    status.restarts = restarts
    status.cause = cause
    return status
  }
}
