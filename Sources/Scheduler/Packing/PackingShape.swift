/// A set of at most 64 hardware classes, for example GPU models, by their index in a catalogue.
public struct ClassSet: Sendable, Hashable {
  /// How many classes there can be.
  public static let capacity = 64
  /// Bit `i` stands for class `i`.
  public var bits: UInt64

  /// Makes a set of given bits.
  public init(bits: UInt64) { self.bits = bits }

  /// Makes a set of class indices from 0 to 63; others are not in it.
  public init(_ classes: some Sequence<Int>) {
    bits = classes.reduce(0) { (0..<64).contains($1) ? $0 | 1 << UInt64($1) : $0 }
  }

  /// Every class.
  public static let all = ClassSet(bits: .max)

  /// True where the class is in the set.
  public func contains(_ hardwareClass: UInt8) -> Bool {
    hardwareClass < 64 && bits >> UInt64(hardwareClass) & 1 == 1
  }
}

/// What one task takes of a node: the unit of packing. Tasks of equal shape are interchangeable.
public struct PackingShape: Sendable, Hashable {
  /// Thousandths of a core.
  public var cpuMilli: Int32
  /// Host memory.
  public var memoryMiB: Int32
  /// How many GPUs.
  public var gpuCount: Int32
  /// Thousandths of each of these GPUs: 1,000 is a whole one. A part is asked of one GPU only.
  public var gpuMilli: Int32
  /// The hardware classes on which it runs.
  public var classes: ClassSet

  /// A whole GPU.
  public static let wholeGPU: Int32 = 1000
  /// The most GPUs of a node.
  public static let gpusPerNode = 16

  /// Describes a shape.
  ///
  /// - Returns: `nil` for amounts that no task can have: below zero, more GPUs than a node may
  ///   have, a part of several GPUs, or GPUs of which nothing is taken.
  public init?(
    cpuMilli: Int, memoryMiB: Int, gpuCount: Int, gpuMilli: Int, classes: ClassSet = .all
  ) {
    guard let cpu = Int32(exactly: cpuMilli), let memory = Int32(exactly: memoryMiB), cpu >= 0,
      memory >= 0, (0...Self.gpusPerNode).contains(gpuCount),
      (0...Int(Self.wholeGPU)).contains(gpuMilli), (gpuCount == 0) == (gpuMilli == 0),
      gpuCount <= 1 || gpuMilli == Int(Self.wholeGPU)
    else { return nil }
    self.cpuMilli = cpu
    self.memoryMiB = memory
    self.gpuCount = Int32(gpuCount)
    self.gpuMilli = Int32(gpuMilli)
    self.classes = classes
  }

  /// True for a task that shares its GPU with others.
  var isPartOfGPU: Bool { gpuCount == 1 && gpuMilli < Self.wholeGPU }

  /// Thousandths of GPUs in all.
  public var gpuMilliTotal: Int32 { gpuCount * gpuMilli }
}
