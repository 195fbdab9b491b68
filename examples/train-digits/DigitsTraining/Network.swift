/// A network with one hidden layer: rectified linear units, then a softmax over the digits.
public struct Network: Sendable, Hashable {
  /// The sizes of its layers.
  public let shape: NetworkShape
  /// All weights and biases in one vector, as `NetworkShape` lays them out, so that one exchange
  /// carries them or their gradient.
  public var parameters: [Float]

  /// Takes up parameters that were kept.
  ///
  /// - Throws: `TrainingError` where their number does not fit the shape.
  public init(shape: NetworkShape, parameters: [Float]) throws {
    guard parameters.count == shape.parameterCount else {
      throw TrainingError(
        "\(parameters.count) parameters do not fit a network that has \(shape.parameterCount)")
    }
    self.shape = shape
    self.parameters = parameters
  }

  /// Draws first weights, the same for one seed; biases begin at zero.
  ///
  /// The bounds keep the variance from layer to layer: He et al. (2015) for the hidden layer,
  /// Glorot and Bengio (2010) for the outputs.
  public init(shape: NetworkShape, seed: UInt64) {
    var generator = SeededGenerator(seed: seed)
    var parameters = [Float](repeating: 0, count: shape.parameterCount)
    let hiddenBound = (6 / Float(shape.inputs)).squareRoot()
    for index in shape.hiddenWeights..<shape.hiddenBiases {
      parameters[index] = (2 * generator.unit() - 1) * hiddenBound
    }
    let outputBound = (6 / Float(shape.hidden + shape.outputs)).squareRoot()
    for index in shape.outputWeights..<shape.outputBiases {
      parameters[index] = (2 * generator.unit() - 1) * outputBound
    }
    self.shape = shape
    self.parameters = parameters
  }

  /// Adds the gradient of the summed loss over some images to `gradient`, times `scale`.
  ///
  /// - Parameters:
  ///   - indices: which images of `data`.
  ///   - gradient: at least as many elements as there are parameters; more are left as they are.
  /// - Returns: the summed cross entropy of these images, not scaled.
  public func addGradient(
    of data: DigitsData, at indices: ArraySlice<Int>, scale: Float, to gradient: inout [Float]
  ) -> Float {
    precondition(gradient.count >= shape.parameterCount)
    return gradient.withUnsafeMutableBufferPointer { gradient in
      guard let gradient = gradient.baseAddress else { return 0 }
      return withPass { pass in
        data.pixels.withUnsafeBufferPointer { pixels in
          guard let pixels = pixels.baseAddress else { return 0 }
          var loss: Float = 0
          for index in indices {
            let image = pixels + index * shape.inputs
            let label = Int(data.labels[index])
            loss += pass.forward(image, label: label)
            pass.backward(image, label: label, scale: scale, to: gradient)
          }
          return loss
        }
      }
    }
  }

  /// The share of images, from 0 to 1, for which the most probable digit is the one that was meant.
  public func accuracy(on data: DigitsData) -> Double {
    guard data.count > 0 else { return 0 }
    let hits = data.labels.indices.count { guess(data, at: $0) == Int(data.labels[$0]) }
    return Double(hits) / Double(data.count)
  }

  /// The most probable digit for one image of `data`.
  public func guess(_ data: DigitsData, at index: Int) -> Int {
    withPass { pass in
      data.pixels.withUnsafeBufferPointer { pixels in
        guard let pixels = pixels.baseAddress else { return 0 }
        _ = pass.forward(pixels + index * shape.inputs, label: Int(data.labels[index]))
        return pass.mostProbable
      }
    }
  }

  private func withPass<Result>(_ body: (NetworkPass) -> Result) -> Result {
    parameters.withUnsafeBufferPointer { parameters in
      withUnsafeTemporaryAllocation(
        of: Float.self, capacity: NetworkPass.scratchCount(for: shape)
      ) { scratch in
        scratch.initialize(repeating: 0)
        guard let parameters = parameters.baseAddress, let scratch = scratch.baseAddress else {
          preconditionFailure("a network has parameters")
        }
        return body(NetworkPass(shape: shape, parameters: parameters, scratch: scratch))
      }
    }
  }
}
