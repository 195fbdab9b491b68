internal import DigitsTraining
internal import IorunJob

/// Averages gradients over the ranks of a gang: a ring all-reduce through distributed actors.
struct GangExchange: GradientExchange {
  let gang: Gang

  func average(_ gradient: inout [Float]) async throws {
    try await gang.allReduce(&gradient)
    let share = 1 / Float(gang.worldSize)
    for index in gradient.indices { gradient[index] *= share }
  }
}
