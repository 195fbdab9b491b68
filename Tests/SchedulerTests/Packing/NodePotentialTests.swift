import TestSupport
import Testing

@testable import IorunScheduler

@Suite("Scores of tasks on nodes")
struct NodePotentialTests {
  @Test("a score is the same whether or not the GPUs are chosen with it", arguments: 1...20)
  func sameScores(seed: Int) throws {
    var random = SeededGenerator(seed: UInt64(seed))
    func shape() throws -> PackingShape {
      let gpus = [0, 1, 1, 2, 4, 8].randomElement(using: &random) ?? 1
      let part = gpus == 1 && Bool.random(using: &random)
      return try #require(
        PackingShape(
          cpuMilli: Int.random(in: 0...40, using: &random) * 500,
          memoryMiB: Int.random(in: 0...64, using: &random) * 512, gpuCount: gpus,
          gpuMilli: gpus == 0 ? 0 : part ? Int.random(in: 1...19, using: &random) * 50 : 1000,
          classes: ClassSet([[0, 1], [1], [0]].randomElement(using: &random) ?? [0])))
    }
    var counts: [PackingShape: Int] = [:]
    for _ in 0..<30 { counts[try shape()] = Int.random(in: 1...20, using: &random) }
    let potential = NodePotential(
      tasks: TypicalTasks(counts), countsStrandedGPU: seed % 2 == 0)
    var scored = 0
    for _ in 0..<300 {
      var room = NodeRoom(
        cpuMilli: Int32.random(in: 0...40, using: &random) * 500,
        memoryMiB: Int32.random(in: 0...64, using: &random) * 512,
        gpus: SIMD16(repeating: 0), gpuCount: UInt8.random(in: 0...8, using: &random),
        hardwareClass: UInt8.random(in: 0...1, using: &random))
      let hasParts = Int.random(in: 0..<3, using: &random) == 0
      for index in 0..<Int(room.gpuCount) {
        room.gpus[index] =
          hasParts
          ? Int16.random(in: 0...20, using: &random) * 50
          : [0, 1000].randomElement(using: &random) ?? 0
      }
      let (task, worth) = (try shape(), potential.worth(room))
      #expect(worth.potential == potential.value(room), "seed \(seed)")
      let chosen = potential.evaluate(task, on: room, before: worth.potential).score
      #expect(potential.score(task, on: room, worth) == chosen, "seed \(seed), \(task), \(room)")
      if chosen > 0 { scored += 1 }
    }
    #expect(scored > 5, "seed \(seed)")
  }
}
