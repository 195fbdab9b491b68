/// What all ranks of a training must agree on. The same settings, data and number of ranks give the
/// same network.
public struct TrainingSettings: Hashable, Sendable {
  /// How often each training image is met.
  public var epochs = 30
  /// How many images make one step, over all ranks together.
  public var batch = 96
  /// How many images are held out to measure the accuracy.
  public var heldOut = 360
  /// How far one step goes.
  public var learningRate: Float = 0.1
  /// The part of the last step that is kept.
  public var momentum: Float = 0.9
  /// Where all random choices come from.
  public var seed: UInt64 = 1

  /// The settings of the example.
  public init() {}
}
