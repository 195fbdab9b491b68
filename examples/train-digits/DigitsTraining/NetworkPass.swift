internal import Foundation

/// One image on its way through a network and back. Lives only while the memory it points to does,
/// inside `Network.withPass`; nothing is allocated here.
struct NetworkPass {
  private let shape: NetworkShape
  private let parameters: UnsafePointer<Float>
  /// The hidden units after rectification.
  private let hidden: UnsafeMutablePointer<Float>
  /// The loss's derivative by each hidden unit.
  private let hiddenSlope: UnsafeMutablePointer<Float>
  /// After `forward` the digits' probabilities; after `backward` the loss's slope by each score.
  private let outputs: UnsafeMutablePointer<Float>

  static func scratchCount(for shape: NetworkShape) -> Int { 2 * shape.hidden + shape.outputs }

  init(
    shape: NetworkShape, parameters: UnsafePointer<Float>, scratch: UnsafeMutablePointer<Float>
  ) {
    self.shape = shape
    self.parameters = parameters
    hidden = scratch
    hiddenSlope = scratch + shape.hidden
    outputs = scratch + 2 * shape.hidden
  }

  /// Computes the digits' probabilities; returns the cross entropy with `label`.
  func forward(_ image: UnsafePointer<Float>, label: Int) -> Float {
    hidden.update(from: parameters + shape.hiddenBiases, count: shape.hidden)
    // About half of the pixels are white and half of the units are off: passing over them halves
    // the work, and walking along rows keeps the inner loop free of sums, so that it vectorises.
    for input in 0..<shape.inputs where image[input] != 0 {
      VectorKernels.addScaled(
        parameters + (shape.hiddenWeights + input * shape.hidden), by: image[input], to: hidden,
        count: shape.hidden)
    }
    outputs.update(from: parameters + shape.outputBiases, count: shape.outputs)
    for unit in 0..<shape.hidden {
      hidden[unit] = max(0, hidden[unit])
      guard hidden[unit] > 0 else { continue }
      VectorKernels.addScaled(
        parameters + (shape.outputWeights + unit * shape.outputs), by: hidden[unit], to: outputs,
        count: shape.outputs)
    }
    softmax()
    // The smallest probability keeps a hopeless guess from an infinite loss.
    return -log(max(outputs[label], .leastNormalMagnitude))
  }

  /// Adds the gradient of the loss of the image that went forward, times `scale`.
  func backward(
    _ image: UnsafePointer<Float>, label: Int, scale: Float,
    to gradient: UnsafeMutablePointer<Float>
  ) {
    outputs[label] -= 1
    for output in 0..<shape.outputs {
      outputs[output] *= scale
      gradient[shape.outputBiases + output] += outputs[output]
    }
    for unit in 0..<shape.hidden {
      guard hidden[unit] > 0 else {
        hiddenSlope[unit] = 0
        continue
      }
      let row = shape.outputWeights + unit * shape.outputs
      hiddenSlope[unit] = VectorKernels.dot(parameters + row, outputs, count: shape.outputs)
      VectorKernels.addScaled(outputs, by: hidden[unit], to: gradient + row, count: shape.outputs)
    }
    VectorKernels.addScaled(
      hiddenSlope, by: 1, to: gradient + shape.hiddenBiases, count: shape.hidden)
    for input in 0..<shape.inputs where image[input] != 0 {
      VectorKernels.addScaled(
        hiddenSlope, by: image[input],
        to: gradient + (shape.hiddenWeights + input * shape.hidden), count: shape.hidden)
    }
  }

  /// The digit with the highest probability.
  var mostProbable: Int {
    var best = 0
    for output in 1..<shape.outputs where outputs[output] > outputs[best] { best = output }
    return best
  }

  /// Turns scores into probabilities; the largest is taken off first, so that none overflows.
  private func softmax() {
    let largest = outputs[mostProbable]
    var sum: Float = 0
    for output in 0..<shape.outputs {
      outputs[output] = exp(outputs[output] - largest)
      sum += outputs[output]
    }
    for output in 0..<shape.outputs { outputs[output] /= sum }
  }
}
