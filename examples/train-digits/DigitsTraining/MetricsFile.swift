public import Foundation

/// What a training leaves for programs to read beside the model: one JSON object.
public struct MetricsFile: Codable, Hashable, Sendable {
  /// How many ranks trained together.
  public var worldSize: Int
  /// How many parameters the network has.
  public var parameters: Int
  /// Loss and accuracy after each epoch.
  public var epochs: [EpochMetrics]

  /// Describes a training.
  public init(worldSize: Int, result: Training.Result) {
    self.worldSize = worldSize
    parameters = result.network.parameters.count
    epochs = result.epochs
  }

  /// The bytes of the file.
  public func encoded() throws -> Data {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
    return try encoder.encode(self) + Data("\n".utf8)
  }

  /// Writes the file, the whole of it or nothing.
  ///
  /// - Throws: `TrainingError` where the file cannot be written.
  public func write(to path: String) throws {
    try WholeFile.write(encoded(), to: path)
  }
}
