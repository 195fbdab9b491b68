public import IorunCore

/// What a gang takes in all, in the resources over which shares are compared.
public struct QueueDemand: Sendable, Hashable {
  /// GPUs, CPU cores, GiB of memory, GiB of disk: in this order.
  var amounts: SIMD4<Double>

  /// Nothing.
  public static let zero = QueueDemand(amounts: .zero)
  /// The most of one resource: above it a number is a fault, and sums would lose small parts.
  public static let largestAmount = 1e12

  init(amounts: SIMD4<Double>) { self.amounts = amounts }

  /// Describes a demand. GPUs may be weighted by the price of their class.
  ///
  /// - Throws: `specInvalid` for a number that is negative, not finite or absurd, and for nothing.
  public init(gpus: Double, cpus: Double = 0, memoryGiB: Double = 0, diskGiB: Double = 0) throws {
    let amounts = SIMD4(gpus, cpus, memoryGiB, diskGiB)
    for index in 0..<4 where !(0...Self.largestAmount).contains(amounts[index]) {
      throw IorunError(
        .specInvalid, "no gang takes \(amounts[index]) of a resource",
        remedy: "Ask for amounts from 0 to \(Self.largestAmount)")
    }
    guard amounts != .zero else {
      throw IorunError(
        .specInvalid, "a gang that takes nothing cannot be queued",
        remedy: "Ask for some CPU, GPU, memory or disk")
    }
    self.amounts = amounts
  }

  /// What a gang of equal ranks takes. Amounts that no gang takes are cut to those that are possible.
  public init(_ resources: ResourceSet, ranks: Int = 1) {
    let each = SIMD4(
      Double(resources.gpus), Double(resources.milliCPUs) / 1000,
      Double(resources.memory.rawValue) / Double(1 << 30),
      Double(resources.disk.rawValue) / Double(1 << 30))
    amounts = (each * Double(ranks))
      .clamped(lowerBound: .zero, upperBound: SIMD4(repeating: Self.largestAmount))
  }

  /// GPUs.
  public var gpus: Double { amounts[0] }

  /// Adds part by part.
  public static func + (left: QueueDemand, right: QueueDemand) -> QueueDemand {
    QueueDemand(amounts: left.amounts + right.amounts)
  }

  /// True where all of it is in `room`.
  func fits(in room: SIMD4<Double>) -> Bool { all(amounts .<= room) }

  func precedes(_ other: QueueDemand) -> Bool {
    for index in 0..<4 where amounts[index] != other.amounts[index] {
      return amounts[index] < other.amounts[index]
    }
    return false
  }
}
