internal import Foundation

/// How much of a node's free GPU will be of no use, in thousandths of a GPU. Packing puts each task
/// where it raises this the least (steepest descent).
///
/// Two terms: FGD's expected fragment (`TypicalTasks`), and the GPU that the node's remaining CPU
/// could not feed at the mix's mean CPU per GPU. The second one looks further ahead than one task:
/// a node whose CPU runs out first strands its GPUs one by one, and no single step shows it.
struct NodePotential: Sendable {
  let tasks: TypicalTasks
  /// Whether the second term counts.
  let countsStrandedGPU: Bool

  /// Scores from 1 to 101, 51 where nothing changes; 0 means that the task does not fit.
  ///
  /// The steps are coarse by intent (FGD's own scale): within a step the fixed order of nodes
  /// decides, which keeps tasks together. Exact scores place measurably worse.
  static func score(gain: Float) -> UInt8 {
    UInt8(100 / (1 + exp(-gain / 1000))) + 1
  }

  func value(_ room: NodeRoom) -> Float {
    let total = room.gpuMilliTotal
    guard total > 0 else { return 0 }
    return value(gpuMilli: total, usable: tasks.usableGPU(room), cpuMilli: room.cpuMilli)
  }

  func worth(_ room: NodeRoom) -> NodeWorth {
    let whole = room.gpus(withAtLeast: PackingShape.wholeGPU)
    let isWhole = room.gpuMilliTotal == whole * PackingShape.wholeGPU
    return NodeWorth(potential: value(room), wholeGPUs: isWhole ? whole : nil)
  }

  private func value(gpuMilli total: Int32, usable: Float, cpuMilli: Int32) -> Float {
    let fragment = Float(total) - usable
    guard countsStrandedGPU, tasks.cpuPerGPU > 0 else { return fragment }
    return fragment + max(0, Float(total) - Float(cpuMilli) / tasks.cpuPerGPU)
  }

  /// The score of a task on a node; 0 where it does not fit.
  ///
  /// Hot path. On a node of which every GPU is either free or taken as a whole, which GPUs a task gets
  /// makes no difference, so that none is chosen.
  func score(_ shape: PackingShape, on room: NodeRoom, _ worth: NodeWorth) -> UInt8 {
    guard !shape.isPartOfGPU, let whole = worth.wholeGPUs else {
      return evaluate(shape, on: room, before: worth.potential).score
    }
    guard room.cpuMilli >= shape.cpuMilli, room.memoryMiB >= shape.memoryMiB,
      whole >= shape.gpuCount, shape.classes.contains(room.hardwareClass)
    else { return 0 }
    let (cpu, left) = (room.cpuMilli - shape.cpuMilli, whole - shape.gpuCount)
    guard left > 0 else { return Self.score(gain: worth.potential) }
    let usable = tasks.usableGPU(
      whole: left, cpuMilli: cpu, hardwareClass: room.hardwareClass)
    let after = value(gpuMilli: left * PackingShape.wholeGPU, usable: usable, cpuMilli: cpu)
    return Self.score(gain: worth.potential - after)
  }

  /// The score of a task on a node, and the GPUs that it would get there.
  ///
  /// - Parameter before: the node's potential as it is.
  func evaluate(
    _ shape: PackingShape, on room: NodeRoom, before: Float
  ) -> (score: UInt8, gpus: UInt16) {
    guard room.fits(shape) else { return (0, 0) }
    guard shape.isPartOfGPU else {
      let gpus = room.wholeGPUs(for: shape)
      return (Self.score(gain: before - value(room.taking(shape, gpus: gpus))), gpus)
    }
    var best: (score: UInt8, gpus: UInt16) = (0, 0)
    for index in 0..<Int(room.gpuCount) where Int32(room.gpus[index]) >= shape.gpuMilli {
      // GPUs with equal room are equal: the first stands for all.
      if (0..<index).contains(where: { room.gpus[$0] == room.gpus[index] }) { continue }
      let gpus = UInt16(1) << UInt16(index)
      let score = Self.score(gain: before - value(room.taking(shape, gpus: gpus)))
      if score > best.score { best = (score, gpus) }
    }
    return best
  }
}

/// What is kept of a node's room, so that it need not be summed up for each task.
struct NodeWorth: Sendable {
  var potential: Float
  private var whole: Int32

  /// - Parameter wholeGPUs: how many GPUs are free; `nil` where one of them is free in part.
  init(potential: Float, wholeGPUs: Int32?) {
    self.potential = potential
    whole = wholeGPUs ?? -1
  }

  var wholeGPUs: Int32? { whole < 0 ? nil : whole }
}

extension NodeRoom {
  func taking(_ shape: PackingShape, gpus mask: UInt16) -> NodeRoom {
    var room = self
    room.take(shape, gpus: mask)
    return room
  }
}
