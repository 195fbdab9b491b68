/// Where tasks go, one at a time, so that the GPUs left over stay usable.
///
/// Each shape that was ever asked for keeps the scores of all nodes (`ScoreTree`). A placement
/// changes one node, and each shape looks at the changed nodes when it is next asked for: a
/// decision costs some changes, not a scan. Same calls, same answers.
public struct PackingCluster: Sendable {
  /// One node as it joins, idle.
  public struct Node: Sendable, Hashable {
    /// Thousandths of cores.
    public var cpuMilli: Int32
    /// Host memory.
    public var memoryMiB: Int32
    /// Its GPUs, at most `PackingShape.gpusPerNode`.
    public var gpuCount: UInt8
    /// Its hardware class, below 64.
    public var hardwareClass: UInt8

    /// Describes a node.
    public init(cpuMilli: Int32, memoryMiB: Int32, gpuCount: UInt8, hardwareClass: UInt8) {
      self.cpuMilli = cpuMilli
      self.memoryMiB = memoryMiB
      self.gpuCount = gpuCount
      self.hardwareClass = hardwareClass
    }
  }

  /// Where a task went.
  public struct Placement: Sendable, Hashable {
    /// The node, by its place in the list of nodes.
    public var node: Int
    /// Bit `i` stands for the node's GPU `i`.
    public var gpus: UInt16
  }

  /// How far a shape may fall behind in changes before it is brought up to date without being
  /// asked for: bounds the longest decision.
  private static let largestLag = 1024

  private var rooms: [NodeRoom]
  private var worths: [NodeWorth]
  /// Which change last touched a node; only that one is looked at.
  private var lastChange: [Int]
  /// Changed nodes, oldest first; entry `i` is change `firstChange + i`.
  private var changes: [Int32] = []
  private var firstChange = 0
  private var shapes: [PackingShape: Int] = [:]
  private var scores: [ShapeScores] = []
  private var nextToCatchUp = 0
  private let potential: NodePotential

  private struct ShapeScores {
    let shape: PackingShape
    var tree: ScoreTree
    /// The next change to look at.
    var cursor: Int
  }

  /// Takes a list of nodes, whose order breaks ties, and the mix that is expected.
  ///
  /// - Parameter countsStrandedGPU: false for plain FGD, to compare with.
  public init(nodes: [Node], typical: TypicalTasks, countsStrandedGPU: Bool = true) {
    rooms = nodes.map(NodeRoom.init(idle:))
    lastChange = Array(repeating: -1, count: nodes.count)
    let potential = NodePotential(tasks: typical, countsStrandedGPU: countsStrandedGPU)
    self.potential = potential
    worths = rooms.map { potential.worth($0) }
  }

  /// Places a task, or returns `nil` where no node has room.
  public mutating func place(_ shape: PackingShape) -> Placement? {
    let index = self.index(of: shape)
    catchUp(index)
    guard let node = scores[index].tree.best else { return nil }
    let gpus = evaluate(shape, on: node).gpus
    rooms[node].take(shape, gpus: gpus)
    noteChange(of: node)
    catchUpLaggard()
    return Placement(node: node, gpus: gpus)
  }

  /// True where a node has room for a task of a shape, whatever is better.
  public func hasRoom(for shape: PackingShape, on node: Int) -> Bool {
    rooms.indices.contains(node) && rooms[node].fits(shape)
  }

  /// A task has ended.
  public mutating func remove(_ shape: PackingShape, from placement: Placement) {
    rooms[placement.node].take(shape, gpus: placement.gpus, sign: -1)
    noteChange(of: placement.node)
    catchUpLaggard()
  }

  /// What nodes, changes and scores take in memory, in bytes; the mix is some kilobytes beside it.
  public var byteCount: Int {
    rooms.capacity * MemoryLayout<NodeRoom>.stride + worths.capacity
      * MemoryLayout<NodeWorth>.stride
      + lastChange.capacity * MemoryLayout<Int>.stride + changes.capacity
      * MemoryLayout<Int32>.stride
      + scores.reduce(0) { $0 + $1.tree.byteCount + MemoryLayout<ShapeScores>.stride }
  }

  /// Thousandths of GPUs that are free, and how many of these a task of the mix could not use.
  public var idleGPU: (milli: Int64, fragmentMilli: Double) {
    let plain = NodePotential(tasks: potential.tasks, countsStrandedGPU: false)
    return rooms.reduce(into: (0, 0)) { sum, room in
      sum.milli += Int64(room.gpuMilliTotal)
      sum.fragmentMilli += Double(plain.value(room))
    }
  }

  private mutating func index(of shape: PackingShape) -> Int {
    if let index = shapes[shape] { return index }
    var tree = ScoreTree(count: rooms.count)
    for node in rooms.indices {
      tree.set(score(shape, on: node), at: node)
    }
    shapes[shape] = scores.count
    scores.append(ShapeScores(shape: shape, tree: tree, cursor: firstChange + changes.count))
    return scores.count - 1
  }

  private func evaluate(_ shape: PackingShape, on node: Int) -> (score: UInt8, gpus: UInt16) {
    potential.evaluate(shape, on: rooms[node], before: worths[node].potential)
  }

  private func score(_ shape: PackingShape, on node: Int) -> UInt8 {
    potential.score(shape, on: rooms[node], worths[node])
  }

  private mutating func noteChange(of node: Int) {
    worths[node] = potential.worth(rooms[node])
    lastChange[node] = firstChange + changes.count
    changes.append(Int32(truncatingIfNeeded: node))
  }

  private mutating func catchUp(_ index: Int) {
    let end = firstChange + changes.count
    let shape = scores[index].shape
    for change in scores[index].cursor..<end {
      let node = Int(changes[change - firstChange])
      guard lastChange[node] == change else { continue }
      scores[index].tree.set(score(shape, on: node), at: node)
    }
    scores[index].cursor = end
  }

  /// Looks at one shape a decision, in turn, and forgets changes that every shape has seen.
  private mutating func catchUpLaggard() {
    guard !scores.isEmpty else { return }
    nextToCatchUp = (nextToCatchUp + 1) % scores.count
    let end = firstChange + changes.count
    if end - scores[nextToCatchUp].cursor > Self.largestLag { catchUp(nextToCatchUp) }
    guard changes.count > 4 * Self.largestLag + 2 * scores.count else { return }
    let oldest = scores.lazy.map(\.cursor).min() ?? end
    changes.removeFirst(oldest - firstChange)
    firstChange = oldest
  }
}
