internal import Foundation

/// What a GPU claims beside its rates, and by which sizes of puzzles are made for it.
public struct GPUClaim: Hashable, Codable, Sendable {
  /// As NVML and `nvidia-smi` write it.
  public var uuid: String
  /// The model's name, as its driver says it.
  public var model: String
  /// Steps of labels a second while memory is filled.
  public var labelRate: Double

  /// Describes a GPU.
  public init(uuid: String, model: String, labelRate: Double) {
    (self.uuid, self.model, self.labelRate) = (uuid, model, labelRate)
  }
}

/// The sizes of a GPU's round: a walk over nearly all of its memory and, at the same instant, products of
/// matrices. Both must be one chip's: the walk's table leaves no room for another device's, and the products
/// use up what computes.
public struct GPUPlan: Hashable, Sendable {
  /// The part of a GPU's memory that is filled and walked over.
  public static let memoryShare = 0.9
  /// The part of it that matrices, and their trees, may take beside that.
  static let productShare = 0.04
  /// Steps of a walk's segment: a GPU does thousands of times a core's, and the states between the segments
  /// are kept and hashed by the machine.
  static let segmentSteps = 1024

  /// The table and the walk.
  public let memory: MemoryPlan
  /// The products.
  public let product: ProductPuzzle

  /// Plans for a GPU.
  ///
  /// - Parameters:
  ///   - memory: bytes of its memory.
  ///   - groups: groups of 48 walkers.
  ///   - labelRate: steps of labels a second.
  ///   - walkRate: steps of walks a second while it multiplies.
  ///   - productRate: multiplications a second while it walks.
  ///   - fillSeconds: how long filling may take; what cannot be filled in it is not looked at.
  ///   - seconds: how long a round takes at these rates.
  /// - Returns: `nil` where the memory is too little for any table, or a rate is none.
  public init?(
    memory: Int, groups: Int, labelRate: Double, walkRate: Double, productRate: Double,
    fillSeconds: Double, seconds: Double
  ) {
    guard
      let product = Self.product(rate: productRate, seconds: seconds, memory: memory),
      let plan = MemoryPlan(
        memory: Int(Double(memory) * Self.memoryShare), cores: groups, laneRate: labelRate,
        walkRate: walkRate, fillSeconds: fillSeconds, walkSeconds: seconds,
        segmentSteps: Self.segmentSteps)
    else { return nil }
    (self.memory, self.product) = (plan, product)
  }

  /// Products that take so long at a rate: large ones, which fill a chip, but eight layers, so that several
  /// chips gain little by sharing one. `nil` where the rate is none.
  static func product(rate: Double, seconds: Double, memory: Int) -> ProductPuzzle? {
    let work = rate * seconds
    guard work.isFinite, work > 0 else { return nil }
    let room = Double(memory) * productShare
    var size = ProductPuzzle.allowedSize.upperBound
    while size > ProductPuzzle.allowedSize.lowerBound,
      pow(Double(size), 3) > work / 8 || 2.5 * pow(Double(size), 2) > room / 2
    {
      size /= 2
    }
    let tiles = (size / Matrices.tile) * (size / Matrices.tile)
    // A tree's digests, all levels: 4/3 of the leaves of 32 bytes.
    let most = min(
      Double(ProductPuzzle.allowedLayers.upperBound),
      Double(ProductPuzzle.mostTiles / tiles), max(1, room / 2 / (Double(tiles) * 43)))
    let layers = max(1, Int(min(most, (work / pow(Double(size), 3)).rounded())))
    return try? ProductPuzzle(size: size, layers: layers)
  }
}
