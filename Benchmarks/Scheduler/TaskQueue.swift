/// Tasks that wait, each by itself: a line for each shape, and the first of the lines' heads by arrival.
struct TaskQueue {
  /// A task that is next.
  struct Head {
    /// Its number by arrival.
    let task: Int
    /// Its shape, by number.
    let shape: Int
    /// How long it will run; nothing is decided by it.
    let runtimeSeconds: Float
  }

  /// No task.
  private static let none = UInt32.max

  /// By task: who of its shape comes after it.
  private var next: [UInt32]
  private var runtimeSeconds: [Float]
  /// By shape: who is first in its line, and who is last.
  private var heads: [UInt32]
  private var tails: [UInt32]
  /// How many wait.
  private(set) var count = 0

  /// A queue for so many tasks of so many shapes.
  init(shapes: Int, capacity: Int) {
    next = []
    runtimeSeconds = []
    next.reserveCapacity(capacity)
    runtimeSeconds.reserveCapacity(capacity)
    heads = Array(repeating: Self.none, count: shapes)
    tails = heads
  }

  /// What the waiting tasks take in memory.
  var byteCount: Int {
    next.capacity * MemoryLayout<UInt32>.stride + runtimeSeconds.capacity
      * MemoryLayout<Float>.stride
      + 2 * heads.capacity * MemoryLayout<UInt32>.stride
  }

  /// A task comes.
  mutating func append(shape: Int, runtimeSeconds seconds: Float) {
    let task = UInt32(next.count)
    next.append(Self.none)
    runtimeSeconds.append(seconds)
    if heads[shape] == Self.none {
      heads[shape] = task
    } else {
      next[Int(tails[shape])] = task
    }
    tails[shape] = task
    count += 1
  }

  /// The first that came, of the shapes that are asked for.
  func first(where isWanted: (Int) -> Bool) -> Head? {
    var shape = -1
    var task = Self.none
    for index in heads.indices where heads[index] < task && isWanted(index) {
      (shape, task) = (index, heads[index])
    }
    guard shape >= 0 else { return nil }
    return Head(task: Int(task), shape: shape, runtimeSeconds: runtimeSeconds[Int(task)])
  }

  /// The head of a shape's line has found its place.
  mutating func removeFirst(of shape: Int) {
    heads[shape] = next[Int(heads[shape])]
    count -= 1
  }
}
