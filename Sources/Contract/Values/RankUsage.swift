public import IorunCore

/// What a rank in a sandbox used and which of its limits it met, as the kernel counted it. What was not
/// counted on its node is `nil`.
public struct RankUsage: Hashable, Codable, Sendable {
  /// The most memory at once, the kernel's cache of its files included.
  public var peakMemory: Bytes?
  /// How many of its processes the kernel killed because it was out of memory.
  public var outOfMemoryKills: Int?
  /// How many new processes and threads it was refused.
  public var refusedProcesses: Int?
  /// How long it waited because its processor time was used up, in milliseconds.
  public var throttledMilliseconds: Int64?
  /// The limits that it met: `memory`, `processes`, `cpu`, `disk`. Words of later versions pass, too.
  public var limitsHit: [String]

  /// The most words in ``limitsHit`` and bytes of one of them.
  public static let wordLimit = 16

  /// Describes what was used.
  public init(
    peakMemory: Bytes? = nil, outOfMemoryKills: Int? = nil, refusedProcesses: Int? = nil,
    throttledMilliseconds: Int64? = nil, limitsHit: [String] = []
  ) {
    self.peakMemory = peakMemory
    self.outOfMemoryKills = outOfMemoryKills
    self.refusedProcesses = refusedProcesses
    self.throttledMilliseconds = throttledMilliseconds
    self.limitsHit = limitsHit
  }

  /// Whether a node may say so: nothing is negative, and the words are few and short.
  public var isSound: Bool {
    (outOfMemoryKills ?? 0) >= 0 && (refusedProcesses ?? 0) >= 0
      && (throttledMilliseconds ?? 0) >= 0
      && limitsHit.count <= Self.wordLimit
      && limitsHit.allSatisfy { (1...Self.wordLimit).contains($0.utf8.count) }
  }
}
