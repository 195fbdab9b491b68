internal import CShim
internal import Glibc
internal import Synchronization

/// Runs jobs of Swift tasks on an endpoint's I/O thread: a call that is short and never waits is then
/// answered in the turn in which it came, and a caller goes on in the turn in which its answer came,
/// without a switch of threads in between. Whatever blocks here blocks the mesh.
///
/// Hot path: from the I/O thread itself, enqueueing takes no lock and wakes nobody.
final class EndpointExecutor: TaskExecutor, @unchecked Sendable {
  // Unchecked: `own` is touched by the I/O thread alone (`isOnThread` guards each use), everything
  // else is behind the mutex.

  private struct State {
    var jobs: [UnownedJob] = []
    var isOver = false
  }

  private let state = Mutex(State())
  private let mailbox: EndpointMailbox
  private var own: [UnownedJob] = []
  // Written once, by the I/O thread before it runs any job; read by others to compare only.
  private let threadNumber = Atomic<UInt>(0)

  init(mailbox: EndpointMailbox) { self.mailbox = mailbox }

  /// The calling thread is the I/O thread from here on.
  func adoptThread() {
    threadNumber.store(UInt(pthread_self()), ordering: .releasing)
  }

  private var isOnThread: Bool {
    threadNumber.load(ordering: .acquiring) == UInt(pthread_self())
  }

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    if isOnThread {
      own.append(job)
      return
    }
    let isOver = state.withLock { state in
      if !state.isOver { state.jobs.append(job) }
      return state.isOver
    }
    if isOver {
      // The thread is gone. A task must go on all the same, if only to find that out.
      job.runSynchronously(on: asUnownedTaskExecutor())
    } else {
      mailbox.wake()
    }
  }

  /// True where a job waits. On the I/O thread only.
  var hasJobs: Bool { !own.isEmpty || state.withLock { !$0.jobs.isEmpty } }

  /// Runs what waits, and what that makes wait, until nothing does or `limit` jobs have run, so that
  /// tasks that never rest cannot keep the sockets waiting. On the I/O thread only.
  func runJobs(limit: Int) {
    var count = 0
    while count < limit {
      own += state.withLock { $0.jobs.take() }
      guard !own.isEmpty else { return }
      let batch = own.take()
      for job in batch { job.runSynchronously(on: asUnownedTaskExecutor()) }
      count += batch.count
    }
  }

  /// The thread ends: what waits is run by it, later jobs by whoever brings them.
  func finish() {
    state.withLock { $0.isOver = true }
    runJobs(limit: .max)
    threadNumber.store(0, ordering: .releasing)
  }
}
