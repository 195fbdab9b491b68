public import IorunCore
public import IorunPoW

/// What a node says of itself as a prover: the claim that its proofs are measured against.
public struct ProverProfile: Hashable, Codable, Sendable {
  /// The device, by the key with which it signs its proofs.
  public var device: DeviceID
  /// Cores that it proves.
  public var cores: Int
  /// Memory that a proof may take.
  public var memory: Bytes
  /// What all cores together do, in the unit of each kind a second. A device without a rate for
  /// `mem` is not asked for it.
  public var rates: [PuzzleKind: Double]
  /// The digest of the board's maker and serial number, where the machine tells them: nodes with the
  /// same are always run at the same instant.
  public var board: Digest?
  /// Which GPU of its node the device is; `nil` for the node's processor and memory. Its cores are then groups
  /// of walkers and its memory the GPU's.
  public var gpu: GPUClaim?

  /// Describes a prover.
  public init(
    device: DeviceID, cores: Int, memory: Bytes, rates: [PuzzleKind: Double], board: Digest? = nil,
    gpu: GPUClaim? = nil
  ) {
    self.gpu = gpu
    self.board = board
    self.device = device
    self.cores = cores
    self.memory = memory
    self.rates = rates
  }
}

/// What became of an order to prove.
public enum ProofStart: String, Hashable, Codable, Sendable {
  /// The work has begun.
  case started
  /// A table is filled, and waits for the walks over it.
  case ready
  /// Jobs have the machine: no proof is begun beside them.
  case busy
}

/// How far a prover is with the challenge that it works on, or worked on last.
public struct ProofProgress: Hashable, Codable, Sendable {
  /// Where the work stands.
  public enum State: String, Hashable, Codable, Sendable {
    /// It computes.
    case working
    /// It is held.
    case paused
    /// The answer is with the verifier.
    case submitted
    /// It was stopped: a job came, or the verifier wanted no more of it.
    case stopped
    /// It came to no end, by a fault.
    case failed
  }

  /// The challenge's id.
  public var challenge: [UInt8]
  /// The kind of work.
  public var kind: PuzzleKind
  /// Where it stands.
  public var state: State
  /// Hashes, steps or multiplications done.
  public var done: UInt64
  /// How many there are in all; `nil` where time decides.
  public var total: UInt64?
  /// What the verifier found; `nil` before it did.
  public var verdict: Verdict?
  /// Why it stopped or failed.
  public var reason: String?

  /// Describes progress.
  public init(
    challenge: [UInt8], kind: PuzzleKind, state: State, done: UInt64 = 0, total: UInt64? = nil,
    verdict: Verdict? = nil, reason: String? = nil
  ) {
    self.challenge = challenge
    self.kind = kind
    self.state = state
    self.done = done
    self.total = total
    self.verdict = verdict
    self.reason = reason
  }
}

/// What the records of a device's proofs say of it. Comes from these and from nothing else.
public struct DeviceMark: Hashable, Codable, Sendable {
  /// The three marks.
  public enum Status: String, Hashable, Codable, Sendable {
    /// New, undecided, or not judged.
    case pending
    /// It is what it claims.
    case verified
    /// It is not, or did not answer.
    case failed
  }

  /// Where it stands.
  public var status: Status
  /// For `verified`: the last epoch for which that is good.
  public var untilEpoch: Int64?
  /// The short name of the reason of the last transition; `nil` before any.
  public var reason: String?
  /// Seconds since 1970 (UTC) of the last transition; `nil` before any.
  public var since: Double?

  /// Describes a mark.
  public init(
    status: Status = .pending, untilEpoch: Int64? = nil, reason: String? = nil,
    since: Double? = nil
  ) {
    self.status = status
    self.untilEpoch = untilEpoch
    self.reason = reason
    self.since = since
  }

  /// True where jobs that want verified devices may be placed on it in `epoch`.
  public func isVerified(inEpoch epoch: Int64) -> Bool {
    status == .verified && untilEpoch.map { epoch <= $0 } ?? false
  }

  /// The mark as it is in `epoch`: one whose time is over is pending.
  public func asOf(epoch: Int64) -> DeviceMark {
    guard status == .verified, !isVerified(inEpoch: epoch) else { return self }
    return DeviceMark(reason: "expired", since: since)
  }
}

/// A device as the head's records show it.
public struct DeviceStatus: Hashable, Codable, Sendable {
  /// The device.
  public var device: DeviceID
  /// The node that is this device.
  public var node: PeerID
  /// The node's name.
  public var nodeName: String
  /// Where it stands.
  public var mark: DeviceMark
  /// True while jobs have it.
  public var isHired: Bool
  /// What it claims.
  public var profile: ProverProfile
  /// What it is asked for, and what the last run that decided on it said of each.
  public var capabilities: [PuzzleKind: RateTest.Decision]
  /// The way to it and its disk; `nil` before they were probed.
  public var connection: ConnectionRecord?
  /// The newest verdict of each kind.
  public var latest: [ProofRecord]

  /// Describes a device.
  public init(
    device: DeviceID, node: PeerID, nodeName: String, mark: DeviceMark, isHired: Bool,
    profile: ProverProfile, capabilities: [PuzzleKind: RateTest.Decision],
    connection: ConnectionRecord? = nil, latest: [ProofRecord]
  ) {
    self.connection = connection
    self.capabilities = capabilities
    self.device = device
    self.node = node
    self.nodeName = nodeName
    self.mark = mark
    self.isHired = isHired
    self.profile = profile
    self.latest = latest
  }
}

/// What probes found of the way to a device and of its disk. Part of no mark.
public struct ConnectionRecord: Hashable, Codable, Sendable {
  /// The way there and back; `nil` where too few answers came.
  public var echoes: EchoProbe.Result?
  /// Its line, as streams found it; `nil` before they did.
  public var line: Line?
  /// Its disk, as it says; `nil` where it did not.
  public var disk: DiskProbe.Result?
  /// What falls short of what a device of a network must have, or of what it offers.
  public var shortfalls: Set<ConnectionProfile.Shortfall>
  /// When the way and the disk were probed: seconds since 1970 (UTC).
  public var time: Double

  /// How fast bytes reach a device from the head, and the head from it.
  public struct Line: Hashable, Codable, Sendable {
    /// To it; `nil` where that was broken off.
    public var download: StreamProbe.Result?
    /// From it; `nil` where that was broken off.
    public var upload: StreamProbe.Result?
    /// How many others that could share its line were measured at the same instant.
    public var beside: Int
    /// Seconds since 1970 (UTC).
    public var time: Double

    /// Describes a line.
    public init(
      download: StreamProbe.Result?, upload: StreamProbe.Result?, beside: Int, time: Double
    ) {
      (self.download, self.upload) = (download, upload)
      (self.beside, self.time) = (beside, time)
    }
  }

  /// Describes a record.
  public init(
    echoes: EchoProbe.Result? = nil, line: Line? = nil, disk: DiskProbe.Result? = nil,
    shortfalls: Set<ConnectionProfile.Shortfall> = [], time: Double
  ) {
    self.echoes = echoes
    self.line = line
    self.disk = disk
    self.shortfalls = shortfalls
    self.time = time
  }
}

/// A verdict on record.
public struct ProofRecord: Hashable, Codable, Sendable {
  /// What was found.
  public var verdict: Verdict
  /// The rate that the claim must give, in the kind's unit a second.
  public var expectedRate: Double
  /// The model, and the source of its figure, where the catalogue expects more than the device claims;
  /// `nil` for the device's own claim.
  public var expectedBy: String?
  /// Seconds since 1970 (UTC).
  public var time: Double
  /// How much memory was walked over; `nil` for other kinds of work.
  public var memory: Bytes?

  /// Describes a record.
  public init(
    verdict: Verdict, expectedRate: Double, expectedBy: String? = nil, time: Double,
    memory: Bytes? = nil
  ) {
    self.expectedBy = expectedBy
    self.memory = memory
    self.verdict = verdict
    self.expectedRate = expectedRate
    self.time = time
  }

  /// Measured over expected; 0 for what was refused.
  public var ratio: Double { expectedRate > 0 ? verdict.rate / expectedRate : 0 }
}

/// A transition on record.
public struct TransitionRecord: Hashable, Codable, Sendable {
  /// Its number in the head's log.
  public var number: Int64
  /// What happened, with its numbers.
  public var entry: Transition
  /// Seconds since 1970 (UTC).
  public var time: Double

  /// Describes a record.
  public init(number: Int64, entry: Transition, time: Double) {
    self.number = number
    self.entry = entry
    self.time = time
  }
}

/// What is on record of one device, newest first.
public struct DeviceHistory: Hashable, Codable, Sendable {
  /// The device as it is.
  public var device: DeviceStatus
  /// What it was, became, and why.
  public var transitions: [TransitionRecord]
  /// What was found of its proofs.
  public var verdicts: [ProofRecord]
  /// The signed heads of the logs of the epochs in `transitions`, as far as they are closed.
  public var logs: [VerdictLog.Head]

  /// Describes a history.
  public init(
    device: DeviceStatus, transitions: [TransitionRecord], verdicts: [ProofRecord],
    logs: [VerdictLog.Head]
  ) {
    self.device = device
    self.transitions = transitions
    self.verdicts = verdicts
    self.logs = logs
  }
}

/// Whether the head asks devices for proofs, and what it does with the answers.
public enum VerificationMode: String, Hashable, Codable, Sendable, CaseIterable {
  /// It does not ask.
  case off
  /// It asks and keeps records; jobs go anywhere.
  case record
  /// Jobs go to verified devices only, unless they say `verification: any`.
  case enforce
}

/// Proofs in the network at a glance.
public struct ProofStatus: Hashable, Codable, Sendable {
  /// What the head does.
  public var mode: VerificationMode
  /// The present epoch: hours since 1970 (UTC).
  public var epoch: Int64
  /// The verifier's Ed25519 key, which signs the logs.
  public var verifierKey: [UInt8]
  /// What the head committed to for the next epoch's beacon.
  public var nextBeaconCommitment: Digest
  /// The secret of this epoch's beacon; `nil` until its window has begun.
  public var beacon: Beacon?
  /// The newest signed head of a log.
  public var latestLog: VerdictLog.Head?
  /// The devices, by name of their nodes.
  public var devices: [DeviceStatus]

  /// Describes the state of proofs.
  public init(
    mode: VerificationMode, epoch: Int64, verifierKey: [UInt8], nextBeaconCommitment: Digest,
    beacon: Beacon? = nil, latestLog: VerdictLog.Head? = nil, devices: [DeviceStatus] = []
  ) {
    self.mode = mode
    self.epoch = epoch
    self.verifierKey = verifierKey
    self.nextBeaconCommitment = nextBeaconCommitment
    self.beacon = beacon
    self.latestLog = latestLog
    self.devices = devices
  }
}
