internal import CSandbox
internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// Watches the machine for containers that are not the network's. It hears of each process from the
/// kernel as it begins, and looks through all of them when it starts, at intervals, and whenever the
/// kernel had more to tell than it could hold.
///
/// The machine's owner is root and can stop or deceive it: what it finds feeds a reputation, and
/// proves nothing.
public final class ContainerGuard: Sendable {
  private struct State {
    var hasEvents = false
    /// Processes frozen and to be killed, and when.
    var frozen: [(pidfd: Int32, at: Duration)] = []
  }

  private let classifier: ProcessClassifier
  private let policy: GuardPolicy
  private let scope: GuardScope
  private let scanInterval: Duration
  private let leases: @Sendable () -> Set<String>
  private let devices: @Sendable () -> Set<String>
  private let deviceUsers: @Sendable () -> [Int32: Set<String>]
  private let report: @Sendable (GuardIncident) -> Void
  private let state = Mutex(State())
  private let end = GuardEnd()
  private let origin = ContinuousClock.now

  /// Begins to watch, on a thread of its own.
  ///
  /// - Parameters:
  ///   - scope: which processes it looks at at all.
  ///   - leases: the names of the sandboxes that run now.
  ///   - devices: the paths of the devices that are leased now.
  ///   - deviceUsers: which processes compute on which of these, by their drivers; asked at each scan,
  ///     because a process need not keep a device's file open under that name.
  ///   - report: called on the guard's thread for everything that is not ignored; must not block.
  public init(
    _ policy: GuardPolicy, scope: GuardScope, groupName: String,
    scanInterval: Duration = .seconds(5), leases: @escaping @Sendable () -> Set<String>,
    devices: @escaping @Sendable () -> Set<String> = { [] },
    deviceUsers: @escaping @Sendable () -> [Int32: Set<String>] = { [:] },
    report: @escaping @Sendable (GuardIncident) -> Void
  ) {
    self.policy = policy
    self.scope = scope
    self.scanInterval = scanInterval
    self.leases = leases
    self.devices = devices
    self.deviceUsers = deviceUsers
    self.report = report
    // The machine's namespaces are those of its first process, where we may see them.
    let first = ProcessFacts.read(1)
    let own = ProcessFacts.read(getpid())
    let machine = first?.namespaces.count == ProcessFacts.kinds.count ? first : own
    classifier = ProcessClassifier(
      hostNamespaces: machine?.namespaces ?? [:], groupName: groupName,
      hasOverlayRoot: machine?.hasOverlayRoot ?? true)
    let events = iorun_proc_events_open()
    state.withLock { $0.hasEvents = events >= 0 }
    let thread = Thread { [self] in watch(events) }
    thread.name = "iorun-guard"
    thread.start()
  }

  /// Why the kernel would tell nothing of processes here; `nil` where it would.
  public static func eventsFault() -> String? {
    let events = iorun_proc_events_open()
    guard events >= 0 else { return String(cString: strerror(-events)) }
    close(events)
    return nil
  }

  /// Whether the kernel tells of each process; else there are only the scans.
  public var hasEvents: Bool { state.withLock { $0.hasEvents } }

  /// Ends it, and kills what is frozen. Returns once its thread is done.
  public func stop() async { await end.wait() }

  private func watch(_ descriptor: Int32) {
    var ledger = GuardLedger(policy, untouchable: Self.ancestors(of: getpid()))
    // A process is reported once for what it is, and again when it becomes another program.
    var known: [Int32: ProcessFacts] = [:]
    var events = [iorun_proc_event](repeating: iorun_proc_event(), count: 256)
    var nextScan = Duration.zero
    while !end.isWanted {
      if now >= nextScan {
        scan(&ledger, &known)
        nextScan = now + scanInterval
      }
      if descriptor >= 0 {
        let count = events.withUnsafeMutableBufferPointer {
          iorun_proc_events_read(descriptor, $0.baseAddress, Int32($0.count), 50)
        }
        // Some were lost: look at all.
        if count < 0 { nextScan = .zero }
        for event in events.prefix(Int(max(0, count))) {
          look(event.pid, wasEvent: true, &ledger, &known)
        }
      } else {
        usleep(50_000)
      }
      killFrozen(before: now)
    }
    killFrozen(before: .seconds(Int64.max / 2))
    if descriptor >= 0 { close(descriptor) }
    end.reached()
  }

  private var now: Duration { ContinuousClock.now - origin }

  private func scan(_ ledger: inout GuardLedger, _ known: inout [Int32: ProcessFacts]) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    let pids = Set(names.compactMap { Int32($0) })
    known = known.filter { pids.contains($0.key) }
    let users = devices().isEmpty ? [:] : deviceUsers()
    for pid in pids {
      look(pid, wasEvent: false, computesOn: users[pid] ?? [], &ledger, &known)
    }
  }

  private func look(
    _ pid: Int32, wasEvent: Bool, computesOn: Set<String> = [], _ ledger: inout GuardLedger,
    _ known: inout [Int32: ProcessFacts]
  ) {
    // The descriptor first: what is read and what is stopped is the same process, or neither.
    let pidfd = iorun_pidfd_open(pid)
    defer { if pidfd >= 0 { close(pidfd) } }
    let leased = devices()
    guard pidfd >= 0, var facts = ProcessFacts.read(pid, devices: leased) else { return }
    facts.devices.formUnion(computesOn.intersection(leased))
    guard scope.contains(facts), known[pid] != facts else { return }
    let kind = classifier.classify(facts, leases: leases())
    let decision = ledger.decide(facts, kind, now: now)
    if decision == .stop { freeze(pidfd) }
    // What was too much for this minute is looked at again.
    if decision != .report(reason: GuardLedger.tooMany) { known[pid] = facts }
    guard decision != .ignore else { return }
    report(GuardIncident(facts: facts, kind: kind, decision: decision, wasEvent: wasEvent))
  }

  private func freeze(_ pidfd: Int32) {
    if policy.grace <= .zero {
      iorun_pidfd_signal(pidfd, SIGKILL)
      return
    }
    iorun_pidfd_signal(pidfd, SIGSTOP)
    let copy = fcntl(pidfd, F_DUPFD_CLOEXEC, 3)
    guard copy >= 0 else { return }
    state.withLock { $0.frozen.append((copy, now + policy.grace)) }
  }

  private func killFrozen(before time: Duration) {
    let due = state.withLock { state in
      let due = state.frozen.filter { $0.at <= time }
      state.frozen.removeAll { $0.at <= time }
      return due
    }
    for process in due {
      iorun_pidfd_signal(process.pidfd, SIGKILL)
      close(process.pidfd)
    }
  }

  private static func ancestors(of pid: Int32) -> Set<Int32> {
    var result: Set<Int32> = [pid]
    var next = pid
    // A bound, should /proc lie.
    for _ in 0..<256 {
      guard let parent = ProcessFacts.read(next)?.parent, parent > 0 else { break }
      result.insert(parent)
      next = parent
    }
    return result
  }
}
