internal import IorunClient
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

      init(_ last: WorkerStatus.Proof.Last) {
        kind = last.kind
        state = last.state
        isAccepted = last.isAccepted
        refusal = last.refusal
        rate = last.rate
        unit = last.unit
        reason = last.reason
        endedAtUnixSeconds = last.at
      }
    }

    let device: String
    let status: String
    let reason: String?
    let untilEpoch: Int64?
    let working: String?
    let last: Last?
    let latest: [Last]

    init(_ proof: WorkerStatus.Proof) {
      device = proof.device
      status = proof.mark
      reason = proof.reason
      untilEpoch = proof.untilEpoch
      working = proof.working
      last = proof.last.map(Last.init)
      latest = proof.latest.map(Last.init)
    }
  }

  /// What the guard of the machine saw.
  struct Guard: Encodable {
    let mode: String
    let isDryRun: Bool
    let hasKernelEvents: Bool
    let stopped: Int
    let reported: Int
    let incidents: [Incident]
  }

  /// One process that the guard did not leave alone.
  struct Incident: Encodable {
    let atUnixSeconds: Double
    let processId: Int32
    let program: String
    let kind: String
    let isStopped: Bool
    let reason: String
    let argumentsSha256: String
    let controlGroups: String
    let namespaces: [String: String]
    let devices: [String]
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
    let `guard`: Guard?
    let isolation: IsolationView?

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
      isolation = status.isolation.map(IsolationView.init)
      `guard` = status.guardRecord.map { record in
        Guard(
          mode: record.mode, isDryRun: record.isDryRun, hasKernelEvents: record.hasKernelEvents,
          stopped: record.stopped, reported: record.reported,
          incidents: record.incidents.map {
            Incident(
              atUnixSeconds: $0.at, processId: $0.processID, program: $0.program, kind: $0.kind,
              isStopped: $0.isStopped, reason: $0.reason, argumentsSha256: $0.argumentsHash,
              controlGroups: $0.groups, namespaces: $0.namespaces, devices: $0.devices)
          })
      }
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
