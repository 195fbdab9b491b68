import IorunScheduler

/// The end of a task that runs, the earliest first.
struct TaskEnd: HeapOrdered {
  var atSeconds: Double
  /// Its number by arrival; of equal ends the older task's comes first.
  var task: Int
  var shape: Int
  var placement: PackingCluster.Placement

  func precedes(_ other: TaskEnd) -> Bool {
    (atSeconds, task) < (other.atSeconds, other.task)
  }
}
