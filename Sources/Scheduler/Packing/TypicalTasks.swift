/// The mix of tasks that a cluster sees, against which the use of what is left over is judged.
///
/// Source: fragmentation gradient descent (FGD), Weng et al., USENIX ATC 2023, section 4: a node's
/// fragment is the GPU that a task drawn from the typical mix could not use there. FGD keeps the
/// shapes that make up 95 % of the tasks; counting all of them places better, with one constant less.
public struct TypicalTasks: Sendable {
  /// Thousandths of a core that the mix asks for with each thousandth of a GPU.
  let cpuPerGPU: Float

  /// The distinct CPU demands, ascending. A node's CPU rank is how many of them it reaches.
  private let cpuSteps: [Int32]
  /// How many distinct demands of a single GPU a GPU with so many thousandths free reaches.
  private let gpuRanks: [UInt16]
  private let gpuRankCount: Int
  /// The numbers of GPUs that tasks with several ask for.
  let groupSizes: [Int32]
  /// For class `c`, CPU rank `r` and GPU rank `g`, at `(c * cpuRanks + r) * gpuRankCount + g`: the
  /// share of all tasks that one such GPU of such a node could take.
  private let singles: [Float]
  /// The same for tasks with several GPUs, by the index in `groupSizes`.
  private let groups: [Float]

  /// Counts a history of tasks, or an estimate of what will come.
  ///
  /// - Parameter counts: how often each shape occurs; the order does not matter.
  public init(_ counts: [PackingShape: Int]) {
    // In a fixed order, so that sums of floating point numbers do not depend on a dictionary's.
    let tasks = counts.filter { $0.value > 0 }.sorted { $0.key.isBefore($1.key) }
    let total = Float(tasks.reduce(0.0) { $0 + Double($1.value) })
    let withGPU = tasks.filter { $0.key.gpuCount > 0 }
    let cpuSteps = Set(withGPU.map(\.key.cpuMilli)).sorted()
    let gpuSteps = Set(withGPU.lazy.filter { $0.key.gpuCount == 1 }.map(\.key.gpuMilli)).sorted()
    let groupSizes = Set(withGPU.lazy.map(\.key.gpuCount).filter { $0 > 1 }).sorted()
    let cpuRanks = cpuSteps.count + 1
    let gpuRankCount = gpuSteps.count + 1
    var singles = [Float](repeating: 0, count: ClassSet.capacity * cpuRanks * gpuRankCount)
    var groups = [Float](repeating: 0, count: ClassSet.capacity * cpuRanks * groupSizes.count)
    for (shape, count) in withGPU {
      let share = Float(count) / total
      let firstCPU = (cpuSteps.firstIndex(of: shape.cpuMilli) ?? 0) + 1
      let firstGPU = (gpuSteps.firstIndex(of: shape.gpuMilli) ?? 0) + 1
      let group = groupSizes.firstIndex(of: shape.gpuCount)
      for hardwareClass in 0..<ClassSet.capacity
      where shape.classes.contains(UInt8(hardwareClass)) {
        for cpuRank in firstCPU..<cpuRanks {
          let row = hardwareClass * cpuRanks + cpuRank
          if let group {
            groups[row * groupSizes.count + group] += share
          } else {
            for rank in firstGPU..<gpuRankCount { singles[row * gpuRankCount + rank] += share }
          }
        }
      }
    }
    self.cpuSteps = cpuSteps
    self.groupSizes = groupSizes
    self.gpuRankCount = gpuRankCount
    self.singles = singles
    self.groups = groups
    gpuRanks = (0...PackingShape.wholeGPU).map { milli in
      UInt16(gpuSteps.count { $0 <= milli })
    }
    // Tasks without a GPU do not count: they take CPU, but no GPU waits for theirs.
    let cpu = withGPU.reduce(0.0) { $0 + Double($1.key.cpuMilli) * Double($1.value) }
    let gpu = withGPU.reduce(0.0) { $0 + Double($1.key.gpuMilliTotal) * Double($1.value) }
    cpuPerGPU = gpu > 0 ? Float(cpu / gpu) : 0
  }

  /// What of a node's free GPUs a task of the mix can use, in expectation, in thousandths of a GPU.
  ///
  /// Hot path: a few table look-ups a GPU. Watched by `SchedulerBench scale`.
  func usableGPU(_ room: NodeRoom) -> Float {
    let row = Int(room.hardwareClass & 63) * (cpuSteps.count + 1) + rank(ofCPU: room.cpuMilli)
    var usable: Float = 0
    var whole: Int32 = 0
    let singleRow = row * gpuRankCount
    for index in 0..<Int(room.gpuCount) {
      let left = Int(room.gpus[index])
      if left == 0 { continue }
      usable += Float(left) * singles[singleRow + Int(gpuRanks[left])]
      if left == Int(PackingShape.wholeGPU) { whole += 1 }
    }
    return usableByGroups(whole, row, from: usable)
  }

  /// The same of a node with so many GPUs that are free as a whole, and none that is free in part. The sum
  /// is made in the same steps, so that it is the same number.
  func usableGPU(whole: Int32, cpuMilli: Int32, hardwareClass: UInt8) -> Float {
    let row = Int(hardwareClass & 63) * (cpuSteps.count + 1) + rank(ofCPU: cpuMilli)
    let wholeGPU = Int(PackingShape.wholeGPU)
    let one = Float(wholeGPU) * singles[row * gpuRankCount + Int(gpuRanks[wholeGPU])]
    var usable: Float = 0
    for _ in 0..<whole { usable += one }
    return usableByGroups(whole, row, from: usable)
  }

  private func usableByGroups(_ whole: Int32, _ row: Int, from singles: Float) -> Float {
    guard whole > 1 else { return singles }
    var usable = singles
    let groupRow = row * groupSizes.count
    for index in groupSizes.indices where groupSizes[index] <= whole {
      usable += Float(whole * PackingShape.wholeGPU) * groups[groupRow + index]
    }
    return usable
  }

  /// How many steps are not above it. Without branches, which nothing could foresee.
  private func rank(ofCPU milli: Int32) -> Int {
    cpuSteps.withUnsafeBufferPointer { steps in
      var (low, count) = (0, steps.count)
      while count > 0 {
        let half = (count + 1) / 2
        low += steps[low + half - 1] <= milli ? half : 0
        count -= half
      }
      return low
    }
  }
}

extension PackingShape {
  /// An order of shapes.
  func isBefore(_ other: PackingShape) -> Bool {
    (gpuCount, gpuMilli, cpuMilli, memoryMiB, classes.bits)
      < (other.gpuCount, other.gpuMilli, other.cpuMilli, other.memoryMiB, other.classes.bits)
  }
}
