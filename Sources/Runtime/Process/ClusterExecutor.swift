internal import CShim
internal import Foundation
internal import IorunCore
internal import Synchronization

/// The threads of a runtime process. They run Swift's jobs, and whichever of them has nothing to run
/// polls the sockets: a call that comes in is executed, and an answer resumes its caller, on the very
/// thread that read it. A wake-up of another thread would cost more than the call.
///
/// One thread at a time polls (it holds the *baton*). What is sent is gathered until there is nothing
/// left to run. Should all threads be busy with long jobs, a guard looks after the sockets once a
/// millisecond; it sleeps while the process is quiet.
///
/// Safety of `@unchecked Sendable`: everything mutable is touched only while `condition` is locked.
final class ClusterExecutor: TaskExecutor, @unchecked Sendable {
  /// What the executor polls and flushes.
  protocol Sockets: AnyObject, Sendable {
    /// Handles what the sockets have, having waited for it if asked; the number of events. `woken` is
    /// called between the wait and the handling.
    func poll(milliseconds: Int32, woken: (Int) -> Void)
    /// Ends a wait.
    func interrupt()
    /// Writes out what has been gathered.
    func flush()
    /// Called about ten times a second while the process is not quiet.
    func tick()
  }

  private static let runners = 0
  private static let watcher = 1
  /// After so many jobs in a row a thread looks at the sockets in between.
  private static let jobsBetweenPolls = 32
  /// With so many jobs waiting another thread is worth its wake-up.
  private static let jobsWorthAThread = 16
  /// The guard sleeps after so many milliseconds without any work.
  private static let quietTicks = 20

  /// A thread a processor, and two at least.
  static var usualThreads: Int { max(2, Int(iorun_cpu_count())) }

  private let condition = ThreadCondition(conditions: 2)
  private let sockets: any Sockets
  private let threadCount: Int

  private var jobs = JobQueue()
  private var sleepers = 0
  private var isPolling = false
  /// The thread with the baton waits, or is about to: a new job must interrupt it.
  private var isWaiting = false
  private var isDirty = false
  private var isGuardAsleep = false
  private var isStopped = false
  private var activity: UInt64 = 0
  private var polls: UInt64 = 0

  init(sockets: any Sockets, threads: Int = usualThreads) {
    self.sockets = sockets
    threadCount = threads
  }

  /// Starts the threads.
  func start() {
    for index in 0..<threadCount { spawn("runtime-\(index)") { $0.run() } }
    spawn("runtime-guard") { $0.watch() }
  }

  /// Ends the threads when they come round; jobs that come later never run.
  func stop() {
    condition.lock()
    isStopped = true
    condition.broadcast(Self.runners)
    condition.broadcast(Self.watcher)
    condition.unlock()
    sockets.interrupt()
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    // One of the executor's own threads looks at the queue when its present job is over.
    let isRunner = ThreadSlot.current.isRunner
    condition.lock()
    jobs.push(job)
    let isMuch = jobs.count >= Self.jobsWorthAThread
    let interrupts = isWaiting && (isMuch || !isRunner)
    if interrupts {
      isWaiting = false
    } else if isMuch || !isRunner, !isPolling, sleepers > 0 {
      condition.signal(Self.runners)
    }
    wakeGuard()
    condition.unlock()
    if interrupts { sockets.interrupt() }
  }

  /// Something was gathered that is to be written out soon: when there is nothing left to run.
  func needsFlush() {
    let isRunner = ThreadSlot.current.isRunner
    condition.lock()
    isDirty = true
    let interrupts = isWaiting && !isRunner
    if interrupts { isWaiting = false }
    wakeGuard()
    condition.unlock()
    if interrupts { sockets.interrupt() }
  }

  private func wakeGuard() {
    activity &+= 1
    if isGuardAsleep {
      isGuardAsleep = false
      condition.signal(Self.watcher)
    }
  }

  private func spawn(_ name: String, _ body: @escaping @Sendable (ClusterExecutor) -> Void) {
    let thread = Thread { [self] in body(self) }
    thread.name = name
    thread.stackSize = 8 << 20
    thread.start()
  }

  private func run() {
    let executor = asUnownedTaskExecutor()
    ThreadSlot.current.isRunner = true
    var inARow = 0
    condition.lock()
    while true {
      if inARow < Self.jobsBetweenPolls, let job = jobs.pop() {
        if jobs.count >= Self.jobsWorthAThread, sleepers > 0 { condition.signal(Self.runners) }
        condition.unlock()
        job.runSynchronously(on: executor)
        inARow += 1
        condition.lock()
        continue
      }
      inARow = 0
      if isDirty {
        isDirty = false
        condition.unlock()
        sockets.flush()
        condition.lock()
        // What was read meanwhile by nobody is looked at below, or after the jobs that came.
        if jobs.isEmpty { continue }
      }
      if isStopped { break }
      if !isPolling {
        pollOnce(milliseconds: jobs.isEmpty ? -1 : 0)
      } else if jobs.isEmpty {
        sleepers += 1
        condition.wait(Self.runners)
        sleepers -= 1
      }
    }
    condition.unlock()
  }

  /// Takes the baton, polls, and gives it back. The lock is held before and after.
  private func pollOnce(milliseconds: Int32) {
    isPolling = true
    isWaiting = milliseconds != 0
    condition.unlock()
    sockets.poll(milliseconds: milliseconds) { count in
      condition.lock()
      isWaiting = false
      if count > 0 { wakeGuard() }
      condition.unlock()
    }
    condition.lock()
    isPolling = false
    polls &+= 1
  }

  private func watch() {
    var seenActivity: UInt64 = 0
    var quiet = 0
    var ticks = 0
    condition.lock()
    while !isStopped {
      if quiet > Self.quietTicks, jobs.isEmpty, !isDirty {
        isGuardAsleep = true
        while isGuardAsleep, !isStopped { condition.wait(Self.watcher) }
        quiet = 0
      }
      let seenPolls = polls
      condition.unlock()
      usleep(1000)
      ticks += 1
      if ticks % 100 == 0 { sockets.tick() }
      condition.lock()
      quiet = activity == seenActivity ? quiet + 1 : 0
      seenActivity = activity
      if !isPolling, polls == seenPolls || !jobs.isEmpty {
        // Whoever ran has not come back for a millisecond.
        if sleepers > 0 {
          condition.signal(Self.runners)
        } else if polls == seenPolls {
          pollOnce(milliseconds: 0)
        }
      } else if !jobs.isEmpty {
        if isWaiting {
          isWaiting = false
          sockets.interrupt()
        } else if sleepers > 0 {
          condition.signal(Self.runners)
        }
      }
      if isDirty, !isPolling || polls == seenPolls {
        isDirty = false
        condition.unlock()
        sockets.flush()
        condition.lock()
      }
    }
    condition.unlock()
  }
}
