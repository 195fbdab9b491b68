public import IorunContract
internal import IorunCore
public import IorunPoW

/// What the records say of a device, in JSON: `proof` of a node, `mark` of a device.
public struct MarkView: Encodable, Sendable {
  let status: String
  let untilEpoch: Int64?
  let reason: String?
  let sinceUnixSeconds: Double?

  /// Shows a mark.
  public init(_ mark: DeviceMark) {
    status = mark.status.rawValue
    untilEpoch = mark.untilEpoch
    reason = mark.reason
    sinceUnixSeconds = mark.since
  }
}

/// A verdict on record, in JSON.
public struct ProofRecordView: Encodable, Sendable {
  let epoch: Int64
  let round: Int
  let kind: String
  let isAccepted: Bool
  let refusal: String?
  let rate: Double
  let expectedRate: Double
  let expectedBy: String?
  let unit: String
  let ratio: Double
  let seconds: Double
  let answer: String
  let memoryBytes: UInt64?
  let recordedAtUnixSeconds: Double

  /// Shows a record.
  public init(_ record: ProofRecord) {
    epoch = record.verdict.epoch
    round = record.verdict.round
    kind = record.verdict.kind.rawValue
    isAccepted = record.verdict.isAccepted
    refusal = record.verdict.refusal?.rawValue
    rate = record.verdict.rate
    expectedRate = record.expectedRate
    expectedBy = record.expectedBy
    unit = record.verdict.kind.unit
    ratio = record.ratio
    seconds = record.verdict.seconds
    answer = record.verdict.answer.description
    memoryBytes = record.memory?.rawValue
    recordedAtUnixSeconds = record.time
  }
}

/// A device, in JSON.
public struct DeviceView: Encodable, Sendable {
  let device: String
  let node: String
  let name: String
  let mark: MarkView
  let isHired: Bool
  let claim: ClaimView
  let capabilities: [CapabilityView]
  let connection: ConnectionView?
  let latest: [ProofRecordView]

  /// What it claims.
  struct ClaimView: Encodable, Sendable {
    let cores: Int
    let memoryBytes: UInt64
    let rates: [String: Double]
    /// For a GPU; its cores are groups of walkers, its memory its own.
    let gpu: GPUView?
  }

  /// Which GPU a device is.
  struct GPUView: Encodable, Sendable {
    let uuid: String
    let model: String
    let labelStepsPerSecond: Double
  }

  /// What the last run that decided on a kind of work said of it.
  struct CapabilityView: Encodable, Sendable {
    let kind: String
    let status: String
  }

  /// Shows a device.
  public init(_ device: DeviceStatus) {
    self.device = device.device.description
    node = device.node.description
    name = device.nodeName
    mark = MarkView(device.mark)
    isHired = device.isHired
    claim = ClaimView(
      cores: device.profile.cores, memoryBytes: device.profile.memory.rawValue,
      rates: Dictionary(
        uniqueKeysWithValues: device.profile.rates.map { ($0.key.rawValue, $0.value) }),
      gpu: device.profile.gpu.map {
        GPUView(uuid: $0.uuid, model: $0.model, labelStepsPerSecond: $0.labelRate)
      })
    capabilities = device.capabilities.map {
      CapabilityView(kind: $0.key.rawValue, status: $0.value.rawValue)
    }.sorted { $0.kind < $1.kind }
    connection = device.connection.map(ConnectionView.init)
    latest = device.latest.map(ProofRecordView.init)
  }
}

/// What probes found of the way to a device and of its disk, in JSON.
public struct ConnectionView: Encodable, Sendable {
  let echoes: EchoProbe.Result?
  let line: LineView?
  let disk: DiskProbe.Result?
  let shortfalls: [String]
  let recordedAtUnixSeconds: Double

  /// Shows a record.
  public init(_ record: ConnectionRecord) {
    echoes = record.echoes
    line = record.line.map(LineView.init)
    disk = record.disk
    shortfalls = record.shortfalls.map(\.rawValue).sorted()
    recordedAtUnixSeconds = record.time
  }

  /// How fast bytes reach it, and leave it.
  struct LineView: Encodable, Sendable {
    let downloadMegabitsPerSecond: Double?
    let uploadMegabitsPerSecond: Double?
    let downloadedBytes: UInt64?
    let uploadedBytes: UInt64?
    let besideDevices: Int
    let recordedAtUnixSeconds: Double

    init(_ line: ConnectionRecord.Line) {
      downloadMegabitsPerSecond = line.download?.megabitsPerSecond
      uploadMegabitsPerSecond = line.upload?.megabitsPerSecond
      downloadedBytes = line.download?.bytes
      uploadedBytes = line.upload?.bytes
      besideDevices = line.beside
      recordedAtUnixSeconds = line.time
    }
  }
}

/// The signed head of an epoch's log, in JSON.
public struct VerdictLogView: Encodable, Sendable {
  let epoch: Int64
  let count: Int
  let root: String
  let signature: Seal

  /// Shows a head.
  public init(_ head: VerdictLog.Head) {
    epoch = head.epoch
    count = head.count
    root = head.root.description
    signature = head.signature
  }
}

/// `iorun pow status`, in JSON.
public struct ProofStatusView: Encodable, Sendable {
  let mode: String
  let epoch: Int64
  let verifierKey: String
  let nextBeaconCommitment: String
  let beaconSecret: String?
  let latestLog: VerdictLogView?
  let devices: [DeviceView]

  /// Shows the state of proofs.
  public init(_ status: ProofStatus) {
    mode = status.mode.rawValue
    epoch = status.epoch
    verifierKey = status.verifierKey.map { byte in
      String(byte >> 4, radix: 16) + String(byte & 15, radix: 16)
    }.joined()
    nextBeaconCommitment = status.nextBeaconCommitment.description
    beaconSecret = status.beacon?.secret.description
    latestLog = status.latestLog.map(VerdictLogView.init)
    devices = status.devices.map(DeviceView.init)
  }
}

/// `iorun pow history`, in JSON.
public struct DeviceHistoryView: Encodable, Sendable {
  let device: DeviceView
  let transitions: [TransitionView]
  let verdicts: [ProofRecordView]
  let logs: [VerdictLogView]

  /// A transition on record.
  struct TransitionView: Encodable, Sendable {
    let number: Int64
    let epoch: Int64
    let reason: String
    let capabilities: [RoundsView]
    let text: String
    let recordedAtUnixSeconds: Double
  }

  /// The rounds of one kind of work.
  struct RoundsView: Encodable, Sendable {
    let kind: String
    let decision: String
    let evidence: Double
    let ratios: [Double]
  }

  /// Shows a history.
  public init(_ history: DeviceHistory) {
    device = DeviceView(history.device)
    transitions = history.transitions.map { record in
      TransitionView(
        number: record.number, epoch: record.entry.epoch, reason: record.entry.reason.name,
        capabilities: record.entry.rating.capabilities.map {
          RoundsView(
            kind: $0.kind.rawValue, decision: $0.test.decision.rawValue,
            evidence: $0.test.evidence, ratios: $0.test.ratios)
        },
        text: record.entry.text, recordedAtUnixSeconds: record.time)
    }
    verdicts = history.verdicts.map(ProofRecordView.init)
    logs = history.logs.map(VerdictLogView.init)
  }
}
