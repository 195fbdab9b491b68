internal import IorunCore
internal import IorunWire

/// A runtime job as this node knows it. Belongs to the hub's thread.
final class HubJob {
  /// The head's record.
  let record: RuntimeJob
  /// Admits its processes on this node.
  let token: String
  /// The folder of its processes' sockets.
  let directory: String
  /// The user of its processes here, which are in sandboxes; `nil` where they are ordinary ones of the
  /// agent's user.
  let sealedUser: UInt32?
  /// The rank in a sandbox that is its driver; `nil` for an ordinary program, and for drivers elsewhere.
  let seat: RankSeat?
  /// The folder of its logs.
  let logs: String
  /// Its shared memory.
  var store: ObjectStore?
  /// Its processes here, promised ones among them.
  var processes: [WorkerID: HubProcess] = [:]
  var environments: [String: HubEnvironment] = [:]
  /// Processes that are gone, here or elsewhere, and why; the oldest are forgotten.
  private(set) var lost: [WorkerID: ProcessLoss] = [:]
  private var lostByAge: [WorkerID] = []
  private static let rememberedLosses = 20_000
  /// Parcels to other nodes.
  var streams: [NodeID: HubStream] = [:]
  /// Parcels from other nodes.
  var inbound: [NodeID: RelayReceiver] = [:]
  /// Parcels from other nodes for processes of which the head has not told yet.
  var strays = StrayParcels()
  /// Nodes that have, or had, processes of this job: they are told of losses here.
  var partners: Set<NodeID> = []
  /// The driver is gone; only what is detached goes on.
  var isOver = false
  /// What the driver reported of its tasks, the newest last.
  var tasks = TaskReports()
  /// Log lines that wait for the driver on this node.
  var droppedLines = 0

  init(
    record: RuntimeJob, token: String, directory: String, logs: String, sealedUser: UInt32? = nil,
    seat: RankSeat? = nil
  ) {
    self.seat = seat
    self.sealedUser = sealedUser
    self.record = record
    self.token = token
    self.directory = directory
    self.logs = logs
  }

  var id: JobID { record.job }

  /// Where its processes find `directory`.
  var directorySeen: String { sealedUser == nil ? directory : SealedJobs.directory }

  /// Whether it may have new workers here: detached actors, and those that they made, call tasks after
  /// their driver's end, too.
  var takesWorkers: Bool { !isOver || processes.values.contains { $0.actor != nil } }

  /// Remembers a process that is gone. False where it was known.
  func remember(lost worker: WorkerID, _ cause: ProcessLoss) -> Bool {
    guard lost.updateValue(cause, forKey: worker) == nil else { return false }
    lostByAge.append(worker)
    if lostByAge.count > Self.rememberedLosses {
      for worker in lostByAge.prefix(Self.rememberedLosses / 4) { lost[worker] = nil }
      lostByAge.removeFirst(Self.rememberedLosses / 4)
    }
    return true
  }
}
