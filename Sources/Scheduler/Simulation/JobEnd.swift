/// An end to come in a simulation, the earliest first. One whose start was taken back stays in the heap and is
/// known by its number.
struct JobEnd: HeapOrdered, Sendable, Hashable {
  let atSeconds: Double
  let job: Int
  /// Which start of the job this ends.
  let start: Int

  func precedes(_ other: JobEnd) -> Bool {
    (atSeconds, job, start) < (other.atSeconds, other.job, other.start)
  }
}
