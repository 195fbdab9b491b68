/// Whether and how a node watches its machine for containers that are not the network's, and stops
/// them.
public struct GuardSettings: Hashable, Sendable, Codable {
  /// How strict.
  public enum Mode: String, Sendable, Codable, CaseIterable {
    /// It looks at nothing.
    case off
    /// The machine is its owner's too: containers are reported, and only what uses a leased device is
    /// stopped.
    case shared
    /// The machine is the network's: every container that is not allowed is stopped.
    case exclusive
  }

  /// How strict.
  public var mode = Mode.off
  /// Says what it would stop, and stops nothing.
  public var isDryRun = false
  /// Files of programs that are left alone.
  public var allowedPrograms: Set<String> = []
  /// Parts of control groups' paths whose processes are left alone.
  public var allowedGroups: [String] = []
  /// The name of the control group that it looks at; `nil`: at all of the machine.
  public var group: String?

  /// A guard that looks at nothing.
  public init() {}
}
