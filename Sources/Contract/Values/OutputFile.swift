public import IorunContent

/// One file that a rank left behind.
public struct OutputFile: Hashable, Codable, Sendable {
  /// The rank that wrote it.
  public var rank: Int
  /// Its path below the rank's working folder.
  public var path: String
  /// Its bytes.
  public var content: Blob
  /// Whether its owner may execute it.
  public var executable: Bool

  /// Describes an output.
  public init(rank: Int, path: String, content: Blob, executable: Bool) {
    self.rank = rank
    self.path = path
    self.content = content
    self.executable = executable
  }
}
