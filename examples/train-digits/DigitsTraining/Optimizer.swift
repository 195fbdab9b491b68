/// Stochastic gradient descent with momentum (Polyak, 1964).
struct Optimizer: Sendable {
  /// How far one step goes along the velocity.
  let learningRate: Float
  /// The part of the last step's velocity that is kept.
  let momentum: Float
  private var velocity: [Float]

  init(learningRate: Float, momentum: Float, parameterCount: Int) {
    self.learningRate = learningRate
    self.momentum = momentum
    velocity = [Float](repeating: 0, count: parameterCount)
  }

  /// Moves parameters one step against the gradient, of which more elements than parameters are
  /// passed over.
  mutating func step(_ parameters: inout [Float], against gradient: [Float]) {
    precondition(parameters.count == velocity.count && gradient.count >= velocity.count)
    velocity.withUnsafeMutableBufferPointer { velocity in
      parameters.withUnsafeMutableBufferPointer { parameters in
        gradient.withUnsafeBufferPointer { gradient in
          for index in velocity.indices {
            velocity[index] = momentum * velocity[index] + gradient[index]
            parameters[index] -= learningRate * velocity[index]
          }
        }
      }
    }
  }
}
