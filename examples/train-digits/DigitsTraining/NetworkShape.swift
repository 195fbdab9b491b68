/// The sizes of a network with one hidden layer, and where its parameters lie in one flat vector:
/// hidden weights (a row of `hidden` for each input), hidden biases, output weights (a row of
/// `outputs` for each hidden unit), output biases.
public struct NetworkShape: Hashable, Sendable {
  /// How many numbers go in.
  public let inputs: Int
  /// How many hidden units there are.
  public let hidden: Int
  /// How many classes come out.
  public let outputs: Int

  /// Describes a network.
  public init(inputs: Int, hidden: Int, outputs: Int) {
    self.inputs = inputs
    self.hidden = hidden
    self.outputs = outputs
  }

  /// The network of this example: 64 pixels, 64 hidden units, 10 digits.
  public static let digits = NetworkShape(
    inputs: DigitsData.pixelCount, hidden: 64, outputs: DigitsData.classCount)

  /// How many parameters there are.
  public var parameterCount: Int { outputBiases + outputs }

  var hiddenWeights: Int { 0 }
  var hiddenBiases: Int { inputs * hidden }
  var outputWeights: Int { hiddenBiases + hidden }
  var outputBiases: Int { outputWeights + hidden * outputs }
}
