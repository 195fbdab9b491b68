/// Kinds of things of runtime jobs that can be listed.
public enum RuntimeKind: String, Codable, Sendable, Hashable, CaseIterable {
  /// Actors, dead ones as long as the head remembers them.
  case actors
  /// Tasks, as their owners told of them.
  case tasks
  /// Sealed objects in shared memory or on disk.
  case objects
  /// Processes: drivers, workers and actors' processes.
  case workers
  /// Placement groups.
  case placementGroups = "placement-groups"
  /// Runtime jobs.
  case jobs
}

/// A part of what there is of one kind.
public struct RuntimeListing: Hashable, Codable, Sendable {
  /// The items, each the text of a JSON object.
  public var items: [String]
  /// True where there are more.
  public var truncated: Bool
  /// Names of nodes that did not answer: what they hold is missing.
  public var silent: [String]

  /// The most bytes of items in one answer: a payload of the mesh is bounded.
  public static let byteLimit = 900 << 10

  /// Describes a listing.
  public init(items: [String], truncated: Bool, silent: [String]) {
    self.items = items
    self.truncated = truncated
    self.silent = silent
  }
}
