import ArgumentParser
import IorunScheduler

/// Fills a large cluster to nine tenths, then lets a task end for each that comes, until the queue is
/// empty: what a decision costs where every node's room is ragged.
struct Scale: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale", abstract: "Decisions a second on a large cluster.")

  @Option(help: "GPUs of the cluster, in nodes of 1 to 8.")
  var devices = 100_000
  @Option(help: "Tasks in the queue.")
  var tasks = 1_000_000
  @Option(help: "Different shapes of tasks.")
  var shapes = 150
  @Option(help: "Seed of nodes, shapes and arrivals.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard devices > 0, tasks > 0, shapes > 0, shapes <= 1000 else {
      throw ValidationError("--devices and --tasks must be above 0, --shapes from 1 to 1,000")
    }
  }

  func run() throws {
    var random = SplitMix64(seed: seed)
    let nodes = Self.nodes(devices: devices, random: &random)
    let mix = Self.shapes(shapes, random: &random)
    let counts = Dictionary(mix.map { ($0.shape, $0.weight) }, uniquingKeysWith: +)
    let before = residentBytes()
    var cluster = PackingCluster(nodes: nodes, typical: TypicalTasks(counts))
    var timing = DecisionTimes(capacity: tasks)
    var running: [(shape: PackingShape, placement: PackingCluster.Placement)] = []
    var takenMilli: Int64 = 0
    var refused = 0
    let limit = Int64(devices) * 900
    for _ in 0..<tasks {
      let shape = Self.draw(mix, random: &random)
      while takenMilli + Int64(shape.gpuMilliTotal) > limit, !running.isEmpty {
        let index = Int.random(in: 0..<running.count, using: &random)
        let ended = running[index]
        running.swapAt(index, running.count - 1)
        running.removeLast()
        takenMilli -= Int64(ended.shape.gpuMilliTotal)
        cluster.remove(ended.shape, from: ended.placement)
      }
      guard let placement = timing.measure({ cluster.place(shape) }) else {
        refused += 1
        continue
      }
      takenMilli += Int64(shape.gpuMilliTotal)
      running.append((shape, placement))
    }
    let bytes =
      residentBytes() - before - Int64(timing.byteCount)
      - Int64(running.capacity * MemoryLayout<(PackingShape, PackingCluster.Placement)>.stride)
    Report([
      ("devices", Double(devices)), ("nodes", Double(nodes.count)), ("tasks", Double(tasks)),
      ("refused", Double(refused)),
      ("decisions_per_second", timing.perSecond),
      ("mean_us", 1e6 / timing.perSecond),
      ("p50_us", timing.microseconds(at: 0.5)),
      ("p99_us", timing.microseconds(at: 0.99)),
      ("p999_us", timing.microseconds(at: 0.999)),
      ("bytes_per_device", Double(bytes) / Double(devices)),
    ]).print(asJSON: json)
  }

  /// Nodes as the openb trace has them, by kind and share.
  private static func nodes(devices: Int, random: inout SplitMix64) -> [PackingCluster.Node] {
    let kinds: [(gpus: Int, cores: Int32, memoryGiB: Int32, share: Int)] = [
      (8, 96, 384, 45), (8, 128, 768, 8), (2, 96, 512, 22), (2, 64, 256, 11), (1, 32, 128, 4),
      (4, 96, 384, 4), (8, 96, 768, 3), (1, 64, 256, 3),
    ]
    let total = kinds.reduce(0) { $0 + $1.share }
    var nodes: [PackingCluster.Node] = []
    var left = devices
    while left > 0 {
      var draw = Int.random(in: 0..<total, using: &random)
      let index = kinds.firstIndex { kind in
        draw -= kind.share
        return draw < 0
      }
      guard let index else { continue }
      let gpus = min(kinds[index].gpus, left)
      left -= gpus
      nodes.append(
        PackingCluster.Node(
          cpuMilli: kinds[index].cores * 1000, memoryMiB: kinds[index].memoryGiB << 10,
          gpuCount: UInt8(gpus), hardwareClass: UInt8(index)))
    }
    return nodes
  }

  private static func shapes(
    _ count: Int, random: inout SplitMix64
  ) -> [(shape: PackingShape, weight: Int)] {
    var mix: [(PackingShape, Int)] = []
    while mix.count < count {
      let gpus = [1, 1, 1, 1, 1, 1, 2, 4, 8].randomElement(using: &random) ?? 1
      let part = gpus == 1 && Bool.random(using: &random)
      let shape = PackingShape(
        cpuMilli: Int.random(in: 1...14, using: &random) * 1000 * gpus,
        memoryMiB: Int.random(in: 2...48, using: &random) * 1024 * gpus, gpuCount: gpus,
        gpuMilli: part ? Int.random(in: 1...19, using: &random) * 50 : 1000)
      guard let shape else { continue }
      // Few shapes are frequent, most are rare, as in every trace.
      mix.append((shape, max(1, 1000 / (mix.count + 1) / (gpus * gpus))))
    }
    return mix
  }

  private static func draw(
    _ mix: [(shape: PackingShape, weight: Int)], random: inout SplitMix64
  ) -> PackingShape {
    var draw = Int.random(in: 0..<mix.reduce(0) { $0 + $1.weight }, using: &random)
    for (shape, weight) in mix {
      draw -= weight
      if draw < 0 { return shape }
    }
    return mix[0].shape
  }
}
