import Testing

@testable import DigitsTraining

@Suite("the network")
struct NetworkTests {
  /// A network small enough to try every parameter.
  private static let shape = NetworkShape(inputs: 64, hidden: 5, outputs: 10)

  private static func data() throws -> DigitsData {
    let all = try DigitsData.load(path: ExampleFolder.path("train-digits/digits.csv"))
    return try all.split(heldOut: 6, seed: 3).heldOut
  }

  @Test("its gradient is the slope of its loss in each parameter")
  func gradientAgainstDifferences() throws {
    let data = try Self.data()
    let indices = Array(data.labels.indices)[...]
    let network = Network(shape: Self.shape, seed: 4)
    var gradient = [Float](repeating: 0, count: Self.shape.parameterCount)
    _ = network.addGradient(of: data, at: indices, scale: 1, to: &gradient)

    func loss(_ index: Int, moved distance: Float) -> Float {
      var moved = network
      moved.parameters[index] += distance
      var unused = gradient
      return moved.addGradient(of: data, at: indices, scale: 0, to: &unused)
    }
    let distance: Float = 4e-3
    var steep = 0
    for index in gradient.indices {
      let slope = (loss(index, moved: distance) - loss(index, moved: -distance)) / (2 * distance)
      #expect(abs(slope - gradient[index]) < 0.02, "parameter \(index): \(slope)")
      if abs(slope) > 0.1 { steep += 1 }
    }
    // Not vacuous: a gradient of zeros would not pass.
    #expect(steep > 50)
  }

  @Test("the scale multiplies the gradient and leaves the loss as it is")
  func scale() throws {
    let data = try Self.data()
    let network = Network(shape: Self.shape, seed: 4)
    var once = [Float](repeating: 0, count: Self.shape.parameterCount)
    var twice = once
    let loss = network.addGradient(of: data, at: [0, 1][...], scale: 1, to: &once)
    #expect(network.addGradient(of: data, at: [0, 1][...], scale: 2, to: &twice) == loss)
    #expect(zip(once, twice).allSatisfy { abs(2 * $0 - $1) < 1e-5 })
    #expect(loss > 0 && once.contains { $0 != 0 })
  }

  @Test("a guess that could not be more wrong costs a finite loss")
  func hopelessGuess() throws {
    let data = try Self.data()
    var network = Network(shape: Self.shape, seed: 4)
    network.parameters[Self.shape.outputBiases + Int(data.labels[0])] = -1e6
    var gradient = [Float](repeating: 0, count: Self.shape.parameterCount)
    let loss = network.addGradient(of: data, at: [0][...], scale: 1, to: &gradient)
    #expect(loss.isFinite && loss > 50)
    #expect(gradient.allSatisfy { $0.isFinite })
  }

  @Test("one seed gives one network, another seed another")
  func seeds() {
    #expect(Network(shape: .digits, seed: 1) == Network(shape: .digits, seed: 1))
    #expect(Network(shape: .digits, seed: 1) != Network(shape: .digits, seed: 2))
  }

  @Test("parameters that do not fit the shape are refused")
  func wrongCount() {
    #expect(throws: TrainingError.self) { try Network(shape: .digits, parameters: [1, 2, 3]) }
  }
}
