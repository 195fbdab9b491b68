/// Data-parallel training: every rank holds the whole network, computes the gradient of its share
/// of each batch, and makes the same step with the mean of all ranks' gradients.
public struct Training: Sendable {
  /// What all ranks agree on.
  public let settings: TrainingSettings
  /// This rank, from 0.
  public let rank: Int
  /// How many ranks there are.
  public let worldSize: Int

  /// What a training ends with; the same on every rank.
  public struct Result: Sendable, Hashable {
    /// The trained network.
    public let network: Network
    /// How it came there, one entry an epoch.
    public let epochs: [EpochMetrics]
  }

  /// Describes one rank's part.
  ///
  /// - Throws: `TrainingError` for a rank that is none of the ranks, or settings without a step.
  public init(settings: TrainingSettings, rank: Int, worldSize: Int) throws {
    guard worldSize > 0, (0..<worldSize).contains(rank) else {
      throw TrainingError("rank \(rank) is none of \(worldSize) ranks; they count from 0")
    }
    guard settings.epochs > 0, settings.batch >= worldSize else {
      throw TrainingError(
        "\(settings.epochs) epochs with \(settings.batch) images a step leave \(worldSize) ranks "
          + "nothing to do; at least one epoch and one image for each rank are needed")
    }
    self.settings = settings
    self.rank = rank
    self.worldSize = worldSize
  }

  /// Trains on `data` together with the other ranks.
  ///
  /// - Parameters:
  ///   - data: all images; every rank passes the same, and takes its share of each batch.
  ///   - exchange: brings the ranks' gradients together.
  ///   - report: called after each epoch.
  /// - Throws: `TrainingError` where the ranks end with different networks; `CancellationError`;
  ///   what `exchange` throws.
  public func run(
    on data: DigitsData, exchange: some GradientExchange,
    report: @Sendable (EpochMetrics) -> Void = { _ in }
  ) async throws -> Result {
    let (training, heldOut) = try data.split(heldOut: settings.heldOut, seed: settings.seed)
    var network = Network(shape: .digits, seed: settings.seed &+ 1)
    var optimizer = Optimizer(
      learningRate: settings.learningRate, momentum: settings.momentum,
      parameterCount: network.shape.parameterCount)
    var order = SeededGenerator(seed: settings.seed &+ 2)
    var epochs: [EpochMetrics] = []
    for epoch in 1...settings.epochs {
      let loss = try await pass(
        over: training, in: order.permutation(of: training.count), network: &network,
        optimizer: &optimizer, exchange: exchange)
      epochs.append(
        EpochMetrics(epoch: epoch, loss: loss, accuracy: network.accuracy(on: heldOut)))
      report(epochs[epoch - 1])
    }
    try await checkThatRanksAgree(on: network.parameters, exchange: exchange)
    return Result(network: network, epochs: epochs)
  }

  /// One epoch; returns the mean loss over the images of all ranks.
  private func pass(
    over data: DigitsData, in order: [Int], network: inout Network, optimizer: inout Optimizer,
    exchange: some GradientExchange
  ) async throws -> Double {
    let lossSlot = network.shape.parameterCount
    var totalLoss = 0.0
    for start in stride(from: 0, to: order.count, by: settings.batch) {
      try Task.checkCancellation()
      let batch = order[start..<min(start + settings.batch, order.count)]
      // Each rank scales its sum so that the mean over ranks is the mean over the batch, even where
      // the shares differ by an image.
      let scale = Float(worldSize) / Float(batch.count)
      // The loss travels behind the gradient, so that a step costs one exchange.
      var gradient = [Float](repeating: 0, count: lossSlot + 1)
      let loss = network.addGradient(of: data, at: share(of: batch), scale: scale, to: &gradient)
      gradient[lossSlot] = loss * scale
      try await exchange.average(&gradient)
      guard gradient.count == lossSlot + 1 else {
        throw TrainingError("the exchange gave \(gradient.count) numbers for \(lossSlot + 1)")
      }
      totalLoss += Double(gradient[lossSlot]) * Double(batch.count)
      optimizer.step(&network.parameters, against: gradient)
    }
    return totalLoss / Double(order.count)
  }

  /// This rank's part of a batch: all parts together are the batch, and none is larger than another
  /// by more than one image.
  func share(of batch: ArraySlice<Int>) -> ArraySlice<Int> {
    let start = batch.startIndex + batch.count * rank / worldSize
    let end = batch.startIndex + batch.count * (rank + 1) / worldSize
    return batch[start..<end]
  }

  /// Compares fingerprints by their mean: where all are equal, the mean is what each rank has.
  private func checkThatRanksAgree(
    on parameters: [Float], exchange: some GradientExchange
  ) async throws {
    let own = ParameterFingerprint.of(parameters)
    var mean = own
    try await exchange.average(&mean)
    // Where one rank differs, some rank's number is off the mean by 1 / worldSize or more.
    let tolerance = 0.5 / Float(worldSize)
    guard zip(own, mean).allSatisfy({ abs($0 - $1) < tolerance }) else {
      throw TrainingError(
        "rank \(rank) ended with other parameters than the mean of all ranks; do all ranks run "
          + "the same program on the same digits.csv?")
    }
  }
}
