internal import CShim
internal import Foundation
public import IorunCore
internal import Synchronization

/// How a sandboxed program ended, and which of its limits it met.
public struct SandboxExit: Hashable, Sendable {
  /// What became of the program.
  public var cause: ExitCause
  /// True where ``SandboxProcess/terminate()`` or ``SandboxProcess/kill()`` came first.
  public var wasAsked: Bool
  /// What its control groups counted.
  public var usage: SandboxUsage
  /// The limits that it ran into.
  public var limitsHit: Set<SandboxLimit>

  /// Whether the kernel killed it, or something of it, for want of memory.
  public var isOutOfMemory: Bool { limitsHit.contains(.memory) }

  /// Describes an end; the limits follow from what was counted.
  init(cause: ExitCause, wasAsked: Bool, usage: SandboxUsage) {
    self.cause = cause
    self.wasAsked = wasAsked
    self.usage = usage
    limitsHit = []
    if usage.outOfMemoryKills > 0 { limitsHit.insert(.memory) }
    if usage.refusedProcesses > 0 { limitsHit.insert(.processes) }
    if usage.throttled > .zero { limitsHit.insert(.cpu) }
  }
}

/// A running sandbox. When its program ends, everything that it started is killed, its control groups
/// are removed, and only then is its end told.
public final class SandboxProcess: Sendable {
  /// The id of the driver's own process on the host, of which the program is a descendant.
  public let pid: Int32
  /// What of its limits this host does not enforce.
  public var missingLimits: Set<SandboxLimit> {
    remote?.missing ?? group?.missing ?? Set(SandboxLimit.allCases)
  }

  private struct State {
    var wasAsked = false
    var hasEnded = false
    var end: SandboxExit?
    var waiters: [CheckedContinuation<SandboxExit, Never>] = []
  }

  let group: ControlGroup?
  /// Its limits, where others may be started beside the program.
  let limits: SandboxLimits?
  private let remote: (any RemoteSandbox)?
  private let understand: @Sendable (ExitCause) -> ExitCause
  private let tidy: @Sendable () -> Void
  private let state = Mutex(State())

  /// Takes over a child of this process.
  ///
  /// - Parameters:
  ///   - understand: makes of the driver's own end the program's.
  ///   - tidy: what the driver has to remove afterwards.
  init(
    pid: pid_t, group: ControlGroup?, limits: SandboxLimits? = nil,
    understand: @escaping @Sendable (ExitCause) -> ExitCause = { $0 },
    tidy: @escaping @Sendable () -> Void = {}
  ) {
    self.pid = pid
    self.group = group
    remote = nil
    self.limits = limits
    self.understand = understand
    self.tidy = tidy
    // A thread a sandbox: waiting blocks, and may take days.
    let thread = Thread { [self] in finish(Self.waitForEnd(of: pid)) }
    thread.name = "iorun-sandbox"
    thread.start()
  }

  /// Watches over one that a service of the machine's runs. `pid` is its first process on the host.
  init(pid: pid_t, remote: any RemoteSandbox) {
    self.pid = pid
    group = nil
    limits = nil
    self.remote = remote
    understand = { $0 }
    tidy = {}
    let thread = Thread { [self] in
      let (cause, usage) = remote.wait()
      state.withLock { $0.hasEnded = true }
      remote.remove()
      tell(cause, usage)
    }
    thread.name = "iorun-sandbox"
    thread.start()
  }

  /// Calls `body` with the driver's process id while that is surely its own; `nil` after its end.
  public func whileRunning<Result: Sendable>(
    _ body: (Int32) throws -> Result
  ) throws -> Result? {
    try state.withLock { state in try state.hasEnded ? nil : body(pid) }
  }

  /// Waits for the end; may be asked any number of times.
  public func wait() async -> SandboxExit {
    await withCheckedContinuation { continuation in
      let end = state.withLock { state in
        if state.end == nil { state.waiters.append(continuation) }
        return state.end
      }
      if let end { continuation.resume(returning: end) }
    }
  }

  /// Asks every process of the program to end (`SIGTERM`), but not those of the driver. Blocks
  /// shortly.
  public func terminate() {
    state.withLock { $0.wasAsked = $0.wasAsked || !$0.hasEnded }
    guard let group else {
      signal(SIGTERM)
      return
    }
    for member in group.members() where Self.isInside(member) { Foundation.kill(member, SIGTERM) }
  }

  /// Ends it at once. Blocks shortly.
  public func kill() {
    state.withLock { $0.wasAsked = $0.wasAsked || !$0.hasEnded }
    try? group?.kill(deadline: .seconds(2))
    signal(SIGKILL)
  }

  /// Stops it where it is, or lets it go on. Throws `sandboxFailed` without control groups.
  public func freeze(_ isFrozen: Bool) throws {
    if let remote { return try remote.freeze(isFrozen) }
    guard let group else {
      throw IorunError(.sandboxFailed, "without control groups nothing can be frozen")
    }
    try group.freeze(isFrozen)
  }

  // Only while the child is not collected: its id is not another's.
  private func signal(_ number: Int32) {
    if let remote { return remote.signal(number) }
    state.withLock { state in
      if !state.hasEnded { Foundation.kill(pid, number) }
    }
  }

  // A process with an id in a namespace below ours, and not the first there, which is the driver's.
  private static func isInside(_ pid: pid_t) -> Bool {
    let status = ControlGroup.text("/proc/\(pid)/status")
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("NSpid:") }) else {
      return false
    }
    let ids = line.split(whereSeparator: \.isWhitespace).dropFirst()
    return ids.count > 1 && ids.last != "1"
  }

  // Waits without collecting, so that the id stays the child's until `finish` says so.
  private static func waitForEnd(of pid: pid_t) -> siginfo_t {
    var information = siginfo_t()
    while waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) != 0, errno == EINTR {}
    return information
  }

  private func finish(_ information: siginfo_t) {
    let status = information._sifields._sigchld.si_status
    let cause: ExitCause =
      information.si_code == CLD_EXITED ? .exited(status: status) : .signalled(signal: status)
    state.withLock { state in
      state.hasEnded = true
      // Collected under the lock, so that no signal goes to another process of that id.
      var ignored: Int32 = 0
      while waitpid(pid, &ignored, 0) < 0, errno == EINTR {}
    }
    try? group?.kill()
    let usage = group?.usage() ?? SandboxUsage()
    let understood = understand(cause)
    tidy()
    group?.remove()
    tell(understood, usage)
  }

  private func tell(_ cause: ExitCause, _ usage: SandboxUsage) {
    let (end, waiters) = state.withLock { state in
      let end = SandboxExit(cause: cause, wasAsked: state.wasAsked, usage: usage)
      state.end = end
      defer { state.waiters = [] }
      return (end, state.waiters)
    }
    for waiter in waiters { waiter.resume(returning: end) }
  }
}
