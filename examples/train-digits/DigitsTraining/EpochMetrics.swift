internal import Foundation

/// How the training stood after one pass over the training images.
public struct EpochMetrics: Codable, Hashable, Sendable {
  /// The epoch, from 1.
  public var epoch: Int
  /// The mean cross entropy of the training images of all ranks, as they were met in this epoch.
  public var loss: Double
  /// The share of held-out images, from 0 to 1, that were told right.
  public var accuracy: Double

  /// Describes an epoch.
  public init(epoch: Int, loss: Double, accuracy: Double) {
    self.epoch = epoch
    self.loss = loss
    self.accuracy = accuracy
  }

  /// A line for people: `epoch 3/30  loss 0.1234  accuracy 96.1 %  (held out)`.
  public func line(of epochs: Int) -> String {
    "epoch \(epoch)/\(epochs)  loss \(String(format: "%.4f", loss))  "
      + "accuracy \(String(format: "%.1f", accuracy * 100)) %  (held out)"
  }
}
