/// What a device says of its network and its disk, against what probes found.
public struct ConnectionProfile: Hashable, Codable, Sendable {
  /// Millions of bits a second to the device.
  public var downMegabits: Double
  /// Millions of bits a second from it.
  public var upMegabits: Double
  /// Bytes of disk for jobs.
  public var diskBytes: UInt64

  /// Describes a claim.
  public init(downMegabits: Double, upMegabits: Double, diskBytes: UInt64) {
    (self.downMegabits, self.upMegabits) = (downMegabits, upMegabits)
    self.diskBytes = diskBytes
  }

  private enum CodingKeys: String, CodingKey {
    case downMegabits = "down_megabits"
    case upMegabits = "up_megabits"
    case diskBytes = "disk_bytes"
  }

  /// What every device of a network must reach, whatever it claims.
  public struct Rule: Hashable, Codable, Sendable {
    /// Io.net's documents recommend more than 500 Mb/s (its descriptions once say MB/s).
    public var downMegabits = 500.0
    /// Io.net's documents recommend more than 250 Mb/s.
    public var upMegabits = 250.0
    /// The shortest way to at least one verifier.
    public var milliseconds = 30.0
    /// What must be reached of a claim: others use the line, too.
    public var share = 0.8

    /// The figures of `pow/1`; a network may choose others.
    public init() {}
  }

  /// What is not as it should be.
  public enum Shortfall: String, Hashable, Codable, Sendable, CaseIterable {
    /// Bytes come too slowly.
    case download
    /// Bytes leave too slowly.
    case upload
    /// No verifier is near.
    case distance
    /// Less disk than was claimed.
    case disk
  }

  /// What falls short: the larger of rule and a share of the claim counts for the line. What was not
  /// measured (`nil`) is no shortfall: a fault of the verifier must not mark a device.
  public func shortfalls(
    rule: Rule = Rule(), echoes: [EchoProbe.Result], download: StreamProbe.Result?,
    upload: StreamProbe.Result?, disk: DiskProbe.Result?
  ) -> Set<Shortfall> {
    var short: Set<Shortfall> = []
    if let download,
      download.megabitsPerSecond < max(rule.downMegabits, rule.share * downMegabits)
    {
      short.insert(.download)
    }
    if let upload, upload.megabitsPerSecond < max(rule.upMegabits, rule.share * upMegabits) {
      short.insert(.upload)
    }
    if let near = echoes.map(\.minimumMilliseconds).min(), near > rule.milliseconds {
      short.insert(.distance)
    }
    if let disk, disk.freeBytes < diskBytes { short.insert(.disk) }
    return short
  }
}
