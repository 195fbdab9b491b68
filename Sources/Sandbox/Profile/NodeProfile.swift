public import IorunCore

/// What a machine must have to be offered: the least of each thing.
public struct NodeProfile: Hashable, Sendable, Codable {
  /// Memory.
  public var memory: Bytes
  /// Disk, free where the node keeps its state.
  public var disk: Bytes
  /// Bits a second from the network.
  public var downloadBitsPerSecond: UInt64
  /// Bits a second to the network.
  public var uploadBitsPerSecond: UInt64
  /// The round trip to the nearest reflector; less than this.
  public var roundTrip: Duration

  /// The profile that suppliers are asked for: 12 GB, 500 GB, 500 and 250 Mb/s, less than 30 ms.
  public static let standard = NodeProfile(
    memory: Bytes(12_000_000_000), disk: Bytes(500_000_000_000),
    downloadBitsPerSecond: 500_000_000, uploadBitsPerSecond: 250_000_000,
    roundTrip: .milliseconds(30))

  /// Describes a profile.
  public init(
    memory: Bytes, disk: Bytes, downloadBitsPerSecond: UInt64, uploadBitsPerSecond: UInt64,
    roundTrip: Duration
  ) {
    self.memory = memory
    self.disk = disk
    self.downloadBitsPerSecond = downloadBitsPerSecond
    self.uploadBitsPerSecond = uploadBitsPerSecond
    self.roundTrip = roundTrip
  }
}

/// What was measured of a machine; `nil` is what could not be.
public struct NodeMeasurements: Hashable, Sendable, Codable {
  /// All of its memory.
  public var memory: Bytes?
  /// Free disk where the node keeps its state.
  public var disk: Bytes?
  /// Bits a second from the network.
  public var downloadBitsPerSecond: UInt64?
  /// Bits a second to the network.
  public var uploadBitsPerSecond: UInt64?
  /// The round trip to the nearest reflector.
  public var roundTrip: Duration?
  /// What the canaries found, one report a driver that is installed.
  public var drivers: [Driver]
  /// How scratch is encrypted here.
  public var scratch: ScratchKind?

  /// One driver's result.
  public struct Driver: Hashable, Sendable, Codable {
    /// For people: `oci (/usr/bin/runc)`.
    public var name: String
    /// Whether strangers' work may run in it.
    public var isFitForStrangers: Bool
    /// What did not hold.
    public var faults: [String]

    /// Takes it from a report.
    public init(_ report: SandboxReport) {
      name =
        report.program.isEmpty
        ? report.kind.rawValue
        : "\(report.kind.rawValue) (\(report.program))"
      isFitForStrangers = report.isFitForStrangers
      faults =
        report.faults.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }
        + report.missingLimits.map { "no limit of \($0.rawValue)" }.sorted()
    }
  }

  /// Describes a machine.
  public init(
    memory: Bytes? = nil, disk: Bytes? = nil, downloadBitsPerSecond: UInt64? = nil,
    uploadBitsPerSecond: UInt64? = nil, roundTrip: Duration? = nil, drivers: [Driver] = [],
    scratch: ScratchKind? = nil
  ) {
    self.memory = memory
    self.disk = disk
    self.downloadBitsPerSecond = downloadBitsPerSecond
    self.uploadBitsPerSecond = uploadBitsPerSecond
    self.roundTrip = roundTrip
    self.drivers = drivers
    self.scratch = scratch
  }
}

/// One thing that `iorun join` and `iorun doctor` look at, and what to do about it.
public struct ProfileCheck: Hashable, Sendable, Codable {
  /// How it came out.
  public enum Outcome: String, Sendable, Codable {
    /// As it must be.
    case passed
    /// Less than asked for.
    case failed
    /// It could not be measured.
    case unknown
  }

  /// What was looked at, in a word or two.
  public var name: String
  /// How it came out.
  public var outcome: Outcome
  /// What was found, for a person.
  public var found: String
  /// What is asked for.
  public var wanted: String
  /// What to do where it did not pass.
  public var remedy: String?
}

extension NodeProfile {
  /// Looks at a machine: one check for each thing, in the order in which they are printed.
  public func check(_ machine: NodeMeasurements) -> [ProfileCheck] {
    [
      least(
        "memory", machine.memory, memory, { $0.description },
        "Add memory, or offer this machine to your own jobs only"),
      least(
        "disk", machine.disk, disk, { $0.description },
        "Free some space, or choose a larger disk with --state-dir"),
      least(
        "download", machine.downloadBitsPerSecond, downloadBitsPerSecond, Self.rate,
        "Use a cable instead of Wi-Fi, and end other downloads while it is measured"),
      least(
        "upload", machine.uploadBitsPerSecond, uploadBitsPerSecond, Self.rate,
        "Use a cable instead of Wi-Fi, or ask your provider for a symmetric line"),
      latency(machine.roundTrip), sandbox(machine.drivers), encryption(machine.scratch),
    ]
  }

  private func least<Amount: Comparable>(
    _ name: String, _ found: Amount?, _ wanted: Amount, _ text: (Amount) -> String,
    _ remedy: String
  ) -> ProfileCheck {
    guard let found else {
      return ProfileCheck(
        name: name, outcome: .unknown, found: "not measured", wanted: "at least \(text(wanted))",
        remedy: "Run `iorun doctor` again once the network can be reached")
    }
    let isEnough = found >= wanted
    return ProfileCheck(
      name: name, outcome: isEnough ? .passed : .failed, found: text(found),
      wanted: "at least \(text(wanted))", remedy: isEnough ? nil : remedy)
  }

  private func latency(_ found: Duration?) -> ProfileCheck {
    let wanted = "less than \(Self.milliseconds(roundTrip))"
    guard let found else {
      return ProfileCheck(
        name: "ping", outcome: .unknown, found: "not measured", wanted: wanted,
        remedy: "Let UDP out, and run `iorun doctor` again")
    }
    let isEnough = found < roundTrip
    return ProfileCheck(
      name: "ping", outcome: isEnough ? .passed : .failed, found: Self.milliseconds(found),
      wanted: wanted,
      remedy: isEnough ? nil : "Use a cable instead of Wi-Fi, or join a network with a relay nearby"
    )
  }

  private func sandbox(_ drivers: [NodeMeasurements.Driver]) -> ProfileCheck {
    let fit = drivers.filter(\.isFitForStrangers).map(\.name)
    let faults = drivers.filter { !$0.isFitForStrangers }
      .map { "\($0.name): \($0.faults.joined(separator: ", "))" }
    return ProfileCheck(
      name: "sandbox", outcome: fit.isEmpty ? .failed : .passed,
      found: fit.isEmpty
        ? (faults.isEmpty ? "none that works" : faults.joined(separator: "; "))
        : fit.joined(separator: ", "),
      wanted: "one that passes its self-test",
      remedy: fit.isEmpty
        ? "Install bubblewrap, crun or runc, and run the node as root or with Delegate=yes" : nil)
  }

  private func encryption(_ kind: ScratchKind?) -> ProfileCheck {
    let isOnDisk = kind == .dmCrypt || kind == .gocryptfs
    return ProfileCheck(
      name: "encrypted scratch",
      outcome: isOnDisk ? .passed : .failed, found: kind?.rawValue ?? "none",
      wanted: "dmCrypt or gocryptfs",
      remedy: isOnDisk
        ? nil : "Install gocryptfs, fuse3 and e2fsprogs, and run the node as root")
  }

  private static func rate(_ bits: UInt64) -> String { "\(bits / 1_000_000) Mb/s" }

  private static func milliseconds(_ time: Duration) -> String {
    let (seconds, attoseconds) = time.components
    let tenths = seconds * 10_000 + attoseconds / 100_000_000_000_000
    return tenths % 10 == 0 ? "\(tenths / 10) ms" : "\(tenths / 10).\(tenths % 10) ms"
  }
}
