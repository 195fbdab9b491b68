public import IorunWire
internal import Synchronization

/// What a running task can know of itself, and the cluster that it can use.
public struct TaskContext: Sendable {
  /// The context of the task that runs here; `nil` in a driver and in an actor.
  @TaskLocal public static var current: TaskContext?

  /// The cluster: a task may submit tasks and spawn actors.
  public let cluster: Cluster
  /// The name under which the task is registered.
  public let taskName: String
  /// The process that waits for the result.
  public let owner: ProcessAddress
  /// The task's number at its owner.
  public let taskNumber: UInt64
  /// Counts from 0 how many times the task was started before.
  public let attempt: Int
  let children = ChildTasks()

  /// True where the owner has given the task up. `Task.isCancelled` says the same.
  public var isCancelled: Bool { Task.isCancelled }
}

/// The tasks that one task has submitted: they end with it where it is cancelled recursively. And how
/// often the task waits, which it may do several times at once.
final class ChildTasks: Sendable {
  private static let limit = 100_000
  private let waits = Atomic<Int>(0)
  private let tasks = Mutex<[TaskRecord]>([])

  func add(_ task: TaskRecord) {
    tasks.withLock { tasks in
      if tasks.count >= 1024, tasks.count.nonzeroBitCount == 1 {
        tasks.removeAll { $0.isFinished }
      }
      if tasks.count < Self.limit { tasks.append(task) }
    }
  }

  /// One more of the task's own Swift tasks waits; true where it is the first.
  func beginsToWait() -> Bool { waits.add(1, ordering: .relaxed).oldValue == 0 }

  /// One less waits; true where it was the last.
  func endsToWait() -> Bool { waits.subtract(1, ordering: .relaxed).newValue == 0 }

  var all: [TaskRecord] { tasks.withLock { $0 } }
}
