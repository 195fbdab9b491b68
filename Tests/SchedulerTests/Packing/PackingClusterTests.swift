import TestSupport
import Testing

@testable import IorunScheduler

/// Packing keeps scores by changes; what it decides must be what a look at every node would.
struct PackingClusterTests {
  private static let nodes: [PackingCluster.Node] = (0..<150).map { index in
    PackingCluster.Node(
      cpuMilli: [32_000, 64_000, 96_000][index % 3], memoryMiB: 262_144,
      gpuCount: [1, 2, 4, 8][index % 4], hardwareClass: UInt8(index % 3))
  }

  private static func shapes(_ random: inout SeededGenerator) throws -> [PackingShape] {
    try (0..<12).map { index in
      let gpus = [0, 1, 1, 1, 2, 4][index % 6]
      let milli =
        gpus == 0 ? 0 : index % 6 == 1 ? Int.random(in: 1...9, using: &random) * 100 : 1000
      return try #require(
        PackingShape(
          cpuMilli: Int.random(in: 1...12, using: &random) * 1000,
          memoryMiB: Int.random(in: 1...32, using: &random) * 1024, gpuCount: gpus,
          gpuMilli: milli, classes: index % 5 == 0 ? ClassSet([0, 2]) : .all))
    }
  }

  @Test(
    "A decision is the first of the nodes with the highest score, however often scores were kept up",
    arguments: 1...4 as ClosedRange<UInt64>)
  func equalsAScan(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let shapes = try Self.shapes(&random)
    let typical = TypicalTasks(Dictionary(shapes.map { ($0, 3) }, uniquingKeysWith: +))
    var cluster = PackingCluster(nodes: Self.nodes, typical: typical)
    var scan = NaivePacking(nodes: Self.nodes, typical: typical)
    var running: [(PackingShape, PackingCluster.Placement)] = []
    for step in 0..<1500 {
      if !running.isEmpty, Int.random(in: 0..<3, using: &random) == 0 {
        let (shape, placement) = running.remove(
          at: Int.random(in: 0..<running.count, using: &random))
        cluster.remove(shape, from: placement)
        scan.rooms[placement.node].take(shape, gpus: placement.gpus, sign: -1)
        continue
      }
      let shape = try #require(shapes.randomElement(using: &random))
      let placement = cluster.place(shape)
      #expect(placement == scan.place(shape), "seed \(seed), step \(step)")
      if let placement { running.append((shape, placement)) }
    }
    #expect(!running.isEmpty)
  }

  @Test("No node ever gives more than it has, and all of it comes back")
  func neverGivesTwice() throws {
    var random = SeededGenerator(seed: 7)
    let shapes = try Self.shapes(&random)
    let typical = TypicalTasks(Dictionary(shapes.map { ($0, 1) }, uniquingKeysWith: +))
    var cluster = PackingCluster(nodes: Self.nodes, typical: typical)
    let idle = cluster.idleGPU.milli
    var running: [(PackingShape, PackingCluster.Placement)] = []
    var taken: [Int: [Int32]] = [:]
    var refusals = 0
    while refusals < 50 {
      let shape = try #require(shapes.randomElement(using: &random))
      guard let placement = cluster.place(shape) else {
        refusals += 1
        continue
      }
      running.append((shape, placement))
      for gpu in 0..<16 where placement.gpus >> UInt16(gpu) & 1 == 1 {
        taken[placement.node, default: Array(repeating: 0, count: 16)][gpu] += shape.gpuMilli
      }
    }
    for (node, gpus) in taken {
      for (index, milli) in gpus.enumerated() {
        #expect(milli <= (index < Int(Self.nodes[node].gpuCount) ? 1000 : 0))
      }
    }
    for (shape, placement) in running { cluster.remove(shape, from: placement) }
    #expect(cluster.idleGPU.milli == idle)
  }

  @Test("A shape that no task can have is refused")
  func refusesNonsense() {
    #expect(PackingShape(cpuMilli: -1, memoryMiB: 0, gpuCount: 0, gpuMilli: 0) == nil)
    #expect(PackingShape(cpuMilli: 0, memoryMiB: .max, gpuCount: 0, gpuMilli: 0) == nil)
    #expect(PackingShape(cpuMilli: 0, memoryMiB: 0, gpuCount: 2, gpuMilli: 500) == nil)
    #expect(PackingShape(cpuMilli: 0, memoryMiB: 0, gpuCount: 1, gpuMilli: 0) == nil)
    #expect(PackingShape(cpuMilli: 0, memoryMiB: 0, gpuCount: 17, gpuMilli: 1000) == nil)
    #expect(PackingShape(cpuMilli: 0, memoryMiB: 0, gpuCount: 1, gpuMilli: 1001) == nil)
  }

  @Test("A task goes nowhere when its hardware class is not there, or the cluster is empty")
  func unknownClass() throws {
    let shape = try #require(
      PackingShape(cpuMilli: 1, memoryMiB: 1, gpuCount: 1, gpuMilli: 1000, classes: ClassSet([9])))
    let typical = TypicalTasks([shape: 1])
    var cluster = PackingCluster(nodes: Self.nodes, typical: typical)
    #expect(cluster.place(shape) == .none)
    var empty = PackingCluster(nodes: [], typical: TypicalTasks([:]))
    #expect(empty.place(shape) == .none)
  }
}

/// The same rule without an index: scores every node each time.
private struct NaivePacking {
  var rooms: [NodeRoom]
  let potential: NodePotential

  init(nodes: [PackingCluster.Node], typical: TypicalTasks) {
    rooms = nodes.map(NodeRoom.init(idle:))
    potential = NodePotential(tasks: typical, countsStrandedGPU: true)
  }

  mutating func place(_ shape: PackingShape) -> PackingCluster.Placement? {
    var best: (score: UInt8, node: Int, gpus: UInt16) = (0, 0, 0)
    for node in rooms.indices {
      let (score, gpus) = potential.evaluate(
        shape, on: rooms[node], before: potential.value(rooms[node]))
      if score > best.score { best = (score, node, gpus) }
    }
    guard best.score > 0 else { return nil }
    rooms[best.node].take(shape, gpus: best.gpus)
    return PackingCluster.Placement(node: best.node, gpus: best.gpus)
  }
}
