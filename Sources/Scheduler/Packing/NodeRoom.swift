/// What is free on one node: the state that packing scores.
struct NodeRoom: Sendable, Hashable {
  /// Thousandths of cores.
  var cpuMilli: Int32
  var memoryMiB: Int32
  /// Thousandths of each GPU, in device order; the rest of the vector is zero.
  var gpus: SIMD16<Int16>
  /// How many GPUs the node has.
  var gpuCount: UInt8
  /// Its hardware class.
  var hardwareClass: UInt8

  /// Thousandths of GPUs in all.
  var gpuMilliTotal: Int32 {
    var total: Int32 = 0
    for index in 0..<Int(gpuCount) { total += Int32(gpus[index]) }
    return total
  }

  /// How many GPUs have at least so many thousandths free.
  func gpus(withAtLeast milli: Int32) -> Int32 {
    var count: Int32 = 0
    for index in 0..<Int(gpuCount) where Int32(gpus[index]) >= milli { count += 1 }
    return count
  }

  /// True where a task of the shape fits.
  func fits(_ shape: PackingShape) -> Bool {
    cpuMilli >= shape.cpuMilli && memoryMiB >= shape.memoryMiB
      && shape.classes.contains(hardwareClass)
      && (shape.gpuCount == 0 || gpus(withAtLeast: shape.gpuMilli) >= shape.gpuCount)
  }

  /// Takes (or, with `sign` -1, gives back) a task's share on the GPUs of `mask`.
  mutating func take(_ shape: PackingShape, gpus mask: UInt16, sign: Int32 = 1) {
    cpuMilli -= sign * shape.cpuMilli
    memoryMiB -= sign * shape.memoryMiB
    for index in 0..<Int(gpuCount) where mask >> UInt16(index) & 1 == 1 {
      gpus[index] -= Int16(truncatingIfNeeded: sign * shape.gpuMilli)
    }
  }

  /// The first whole free GPUs, as many as the shape asks for.
  func wholeGPUs(for shape: PackingShape) -> UInt16 {
    var mask: UInt16 = 0
    var missing = shape.gpuCount
    for index in 0..<Int(gpuCount) where missing > 0 && Int32(gpus[index]) >= shape.gpuMilli {
      mask |= 1 << UInt16(index)
      missing -= 1
    }
    return mask
  }
}

extension NodeRoom {
  /// A node of which nothing is taken.
  init(idle node: PackingCluster.Node) {
    let count = min(Int(node.gpuCount), PackingShape.gpusPerNode)
    var gpus = SIMD16<Int16>(repeating: 0)
    for index in 0..<count { gpus[index] = Int16(PackingShape.wholeGPU) }
    self.init(
      cpuMilli: node.cpuMilli, memoryMiB: node.memoryMiB, gpus: gpus, gpuCount: UInt8(count),
      hardwareClass: node.hardwareClass)
  }
}
