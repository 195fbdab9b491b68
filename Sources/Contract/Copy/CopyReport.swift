public import IorunCore

/// What a copy did.
public struct CopyReport: Hashable, Sendable {
  /// A path that was not copied, and why.
  public struct Refusal: Hashable, Codable, Sendable {
    /// The path below what was copied.
    public var path: String
    /// Why, for a person.
    public var reason: String
  }

  /// Files that stand at their place now.
  public var files = 0
  /// Folders below the root.
  public var folders = 0
  /// Bytes of these files.
  public var bytes: UInt64 = 0
  /// Bytes of these files that were at their place before, and so were not sent.
  public var resumedBytes: UInt64 = 0
  /// What was not copied; the first 1,000.
  public private(set) var refusals: [Refusal] = []
  /// How many paths were not copied.
  public private(set) var refusalCount = 0

  static let mostRefusals = 1000

  /// Nothing yet.
  public init() {}

  mutating func refuse(_ path: String, _ reason: String) {
    refusalCount += 1
    if refusals.count < Self.mostRefusals {
      refusals.append(Refusal(path: path, reason: reason))
    }
  }
}

/// How far a copy is.
public struct CopyProgress: Hashable, Sendable {
  /// Files that stand at their place.
  public var filesDone = 0
  /// Files known so far.
  public var filesTotal = 0
  /// Bytes that are there, with those that were there before.
  public var bytesDone: UInt64 = 0
  /// Bytes of all files known so far.
  public var bytesTotal: UInt64 = 0
}

/// How much one copy may be. Both ends check.
public enum CopyLimits {
  /// Files and folders.
  public static let entries = 100_000
  /// One file.
  public static let fileSize = Bytes.gibi(1024)
  /// All files together.
  public static let totalSize = Bytes.gibi(4096)
}
