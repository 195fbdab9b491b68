/// How the ranks of a training make one vector of theirs: the only thing that the training asks of
/// the network between them.
///
/// Every rank calls `average` equally often, in the same order, with vectors of the same length.
public protocol GradientExchange: Sendable {
  /// Replaces each element by its mean over all ranks. Afterwards all ranks hold the same bits.
  ///
  /// - Throws: whatever keeps the ranks from each other; the training ends with it.
  func average(_ gradient: inout [Float]) async throws
}

/// The exchange of a rank that is alone: the mean over one is what is there.
public struct LocalExchange: GradientExchange {
  /// Makes the exchange.
  public init() {}

  /// Leaves the vector as it is.
  public func average(_ gradient: inout [Float]) async throws {}
}
