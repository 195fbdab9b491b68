internal import IorunCore
internal import IorunWorker

/// This machine's node for its owner: what `iorun worker show --json` prints.
struct WorkerView: Encodable {
  /// What the owner wants.
  struct Wishes: Encodable {
    let isPaused: Bool
    let isLeaving: Bool
    let hours: String?
    let idleMinutes: Int?
    let maximumCelsius: Int?
    let endsWork: Bool
  }

  /// A rank, or a program's processes.
  struct Work: Encodable {
    let job: String
    let rank: Int?
    let state: String
    let cpus: Double
    let memoryBytes: UInt64
    let gpus: Int
  }

  /// How it stands with its proofs of work.
  struct Proof: Encodable {
    /// The work that ended last.
    struct Last: Encodable {
      let kind: String
      let state: String
      let isAccepted: Bool?
      let refusal: String?
      let rate: Double?
      let unit: String
      let reason: String?
      let endedAtUnixSeconds: Double
    }

    let device: String
    let status: String
    let reason: String?
    let untilEpoch: Int64?
    let working: String?
    let last: Last?

    init(_ proof: WorkerStatus.Proof) {
      device = proof.device
      status = proof.mark
      reason = proof.reason
      untilEpoch = proof.untilEpoch
      working = proof.working
      last = proof.last.map {
        Last(
          kind: $0.kind, state: $0.state, isAccepted: $0.isAccepted, refusal: $0.refusal,
          rate: $0.rate, unit: $0.unit, reason: $0.reason, endedAtUnixSeconds: $0.at)
      }
    }
  }

  /// What the node does.
  struct Status: Encodable {
    let processId: Int32
    let name: String
    let node: String
    let head: String
    let isConnected: Bool
    let roundTripMilliseconds: Double?
    let startedAtUnixSeconds: Double
    let updatedAtUnixSeconds: Double
    let hold: String?
    let cpus: Double
    let gpus: Int
    let work: [Work]
    let proof: Proof?

    init(_ status: WorkerStatus) {
      processId = status.processID
      name = status.name
      node = status.node
      head = status.head
      isConnected = status.isConnected
      roundTripMilliseconds = status.roundTripMilliseconds
      startedAtUnixSeconds = status.startedAt
      updatedAtUnixSeconds = status.updatedAt
      hold = status.hold
      cpus = Double(status.milliCPUs) / 1000
      gpus = status.gpus
      work = status.work.map {
        Work(
          job: $0.job, rank: $0.rank, state: $0.state, cpus: Double($0.milliCPUs) / 1000,
          memoryBytes: $0.memoryBytes, gpus: $0.gpus)
      }
      proof = status.proof.map(Proof.init)
    }
  }

  let isRunning: Bool
  let wishes: Wishes
  /// What the agent wrote last; `nil` where it does not run.
  let status: Status?

  init(folder: String) throws {
    isRunning = Self.isRunning(folder)
    let wanted = try OwnerWishes.load(from: folder)
    wishes = Wishes(
      isPaused: wanted.isPaused, isLeaving: wanted.isLeaving,
      hours: wanted.limits.hours?.description, idleMinutes: wanted.limits.idleMinutes,
      maximumCelsius: wanted.limits.maximumCelsius, endsWork: wanted.limits.endsWork == true)
    status = isRunning ? try WorkerStatus.load(from: folder).map(Status.init) : nil
  }

  /// Whether the node's agent runs: it holds the folder's lock.
  static func isRunning(_ folder: String) -> Bool {
    guard let lock = try? FileLock(folder + "/lock") else { return true }
    lock.unlock()
    return false
  }
}
