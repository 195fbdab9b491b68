internal import IorunCore

/// A sandbox whose processes are no children of this process: a service of the machine's has them.
/// Everything may block.
protocol RemoteSandbox: Sendable {
  /// What of its limits the service does not enforce.
  var missing: Set<SandboxLimit> { get }

  /// Waits for the end of its program.
  func wait() -> (cause: ExitCause, usage: SandboxUsage)
  /// Sends its program a signal; nothing where it has ended.
  func signal(_ number: Int32)
  /// Stops all of it where it is, or lets it go on.
  func freeze(_ isFrozen: Bool) throws
  /// Removes what is left of it.
  func remove()
}
