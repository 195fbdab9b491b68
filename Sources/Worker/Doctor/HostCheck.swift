/// One thing that a node needs of its machine, and what to do where it is not there.
public struct HostCheck: Hashable, Sendable {
  /// How it came out.
  public enum Outcome: String, Sendable {
    /// As it must be.
    case passed
    /// The node works with less, which `found` says.
    case limited
    /// As it must not be.
    case failed
    /// It could not be found out.
    case unknown
  }

  /// What `iorun doctor --fix` can do about it.
  public enum Fix: Hashable, Sendable {
    /// Install these packages of Debian.
    case install([String])
    /// Give a file to nobody but its owner.
    case makePrivate(String)
    /// Load a module of the kernel's.
    case loadModule(String)
    /// Set one of the kernel's settings, now and after each start: its name and value.
    case setKernel(String, String)
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
  /// What can be done about it by itself.
  public var fix: Fix?

  /// Describes a check.
  public init(
    _ name: String, _ outcome: Outcome, found: String, wanted: String, remedy: String? = nil,
    fix: Fix? = nil
  ) {
    self.name = name
    self.outcome = outcome
    self.found = found
    self.wanted = wanted
    self.remedy = remedy
    self.fix = fix
  }
}
