import ArgumentParser
import Foundation
import IorunScheduler

/// Queues all tasks, then drains the queue: each task goes where packing wants it, runs for its time, and
/// what it leaves goes to the oldest tasks that fit. A decision is one look for a place, with the choice of
/// the task that is next; that no place was found counts as one, too.
struct Scale: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale", abstract: "Decisions a second on a large cluster.",
    discussion: """
      All tasks wait in a queue before the first is placed. 'drain_seconds' is the time of the whole \
      drain with ends and queue, by the clock on the wall; 'simulated_hours' is how long the cluster \
      worked until the last task had begun.
      """)

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
    guard (1...10_000_000).contains(devices), (1...100_000_000).contains(tasks), shapes > 0,
      shapes <= 1000
    else {
      throw ValidationError(
        "--devices must be 1 to 10,000,000, --tasks 1 to 100,000,000, --shapes 1 to 1,000")
    }
  }

  func run() throws {
    var random = SplitMix64(seed: seed)
    let nodes = Self.nodes(devices: devices, random: &random)
    let mix = Self.shapes(shapes, random: &random)
    let shapes = mix.map(\.shape)
    let counts = Dictionary(mix.map { ($0.shape, $0.weight) }, uniquingKeysWith: +)
    var queue = TaskQueue(shapes: mix.count, capacity: tasks)
    let draw = WeightedDraw(mix.map(\.weight))
    for _ in 0..<tasks {
      // Half a minute to some days, most of them short, as in every trace.
      let minutes = Foundation.exp(Float.random(in: -0.7...8, using: &random))
      queue.append(shape: draw.next(&random), runtimeSeconds: 60 * minutes)
    }
    let queueBytes = queue.byteCount
    var timing = DecisionTimes(capacity: tasks)
    var ends = BinaryHeap<TaskEnd>()
    var cluster = PackingCluster(nodes: nodes, typical: TypicalTasks(counts))
    var (now, lastStart, busyGPUSeconds) = (0.0, 0.0, 0.0)
    var refused = 0
    // Shapes that no node has room for get some only where a task ends: on that node.
    var mayFit = [Bool](repeating: true, count: shapes.count)
    var changed: Int?
    let clock = ContinuousClock()
    let start = clock.now
    while queue.count > 0 {
      let decision = timing.measure { () -> (TaskQueue.Head, PackingCluster.Placement?)? in
        let head =
          if let changed {
            queue.first { cluster.hasRoom(for: shapes[$0], on: changed) }
          } else {
            queue.first { mayFit[$0] }
          }
        return head.map { ($0, cluster.place(shapes[$0.shape])) }
      }
      guard let (head, found) = decision else {
        // Nothing that waits has room: time goes on to the next end. Where nothing runs, none ever has.
        timing.dropLast()
        guard let end = ends.popFirst() else { break }
        now = end.atSeconds
        cluster.remove(shapes[end.shape], from: end.placement)
        changed = end.placement.node
        continue
      }
      guard let placement = found else {
        refused += 1
        mayFit[head.shape] = false
        // Room that was seen and is not given would be a fault; it must not turn for ever.
        guard changed == nil else { break }
        continue
      }
      queue.removeFirst(of: head.shape)
      lastStart = now
      let seconds = Double(head.runtimeSeconds)
      busyGPUSeconds += seconds * Double(shapes[head.shape].gpuMilliTotal) / 1000
      ends.insert(
        .init(
          atSeconds: now + seconds, task: head.task, shape: head.shape, placement: placement))
    }
    let drained = (clock.now - start) / Duration.seconds(1)
    // What runs on after the last start is not the queue's.
    while let end = ends.popFirst() {
      let rest = max(0, end.atSeconds - lastStart)
      busyGPUSeconds -= rest * Double(shapes[end.shape].gpuMilliTotal) / 1000
    }
    Report(
      [
        ("devices", Double(devices)), ("nodes", Double(nodes.count)), ("tasks", Double(tasks)),
        ("placed", Double(tasks - queue.count)), ("never_fit", Double(queue.count)),
        ("refused", Double(refused)),
        ("decisions_per_second", timing.perSecond),
        ("mean_us", 1e6 / timing.perSecond),
        ("cpu_mean_us", timing.meanProcessorMicroseconds),
        ("p50_us", timing.microseconds(at: 0.5)),
        ("p99_us", timing.microseconds(at: 0.99)),
        ("p999_us", timing.microseconds(at: 0.999)),
        ("drain_seconds", drained), ("drain_us_per_task", drained * 1e6 / Double(tasks)),
        ("simulated_hours", lastStart / 3600),
        (
          "busy_percent",
          lastStart > 0 ? 100 * busyGPUSeconds / lastStart / Double(devices) : 0
        ),
        ("queue_bytes_per_task", Double(queueBytes) / Double(tasks)),
        ("bytes_per_device", Double(cluster.byteCount) / Double(devices)),
      ], beside: References.decisions
    ).print(asJSON: json)
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
}
