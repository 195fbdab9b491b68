import ArgumentParser
import IorunCore
import IorunScheduler

/// A head's decisions on the nodes of a live network: filled to nine tenths, then a job ends for each
/// that comes. The same jobs by `NodeInventory`, which the head keeps, and, as far as `--scratch` goes,
/// by `GangPlacer` from all nodes anew.
struct NodeBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nodes", abstract: "Decisions a second on the nodes of a live network.")

  @Option(help: "Nodes of the network, with 1 to 8 GPUs each.")
  var nodes = 10_000
  @Option(help: "Jobs in the queue.")
  var jobs = 100_000
  @Option(help: "Different shapes of ranks.")
  var shapes = 150
  @Option(help: "Of a thousand jobs so many have 2 to 16 ranks; the others have one.")
  var gangsPerThousand = 100
  @Option(help: "How many decisions are made from scratch, too, to compare answers and times.")
  var scratch = 200
  @Option(help: "Seed of nodes, shapes and arrivals.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1...100_000).contains(nodes), jobs > 0, (1...1000).contains(shapes), scratch >= 0,
      (0...1000).contains(gangsPerThousand)
    else {
      throw ValidationError(
        "--nodes from 1 to 100,000, --jobs above 0, --shapes from 1 to 1,000, --scratch from 0, "
          + "--gangs-per-thousand from 0 to 1,000")
    }
  }

  private struct Running {
    let resources: ResourceSet
    let placement: GangPlacement
  }

  func run() throws {
    var random = SplitMix64(seed: seed)
    let offers = Self.offers(nodes, random: &random)
    let mix = (0..<shapes).map { _ in Self.shape(random: &random) }
    var history = PackingHistory()
    for (index, shape) in mix.enumerated() {
      history.accepted(ranks: max(1, 1000 / (index + 1)), of: shape, gpuModel: nil)
    }
    let packing = PackingScore(history, models: ["A100", "T4"])
    let before = residentBytes()
    var inventory = NodeInventory(offers, packing: packing)
    var (times, scratchTimes) = (
      DecisionTimes(capacity: jobs), DecisionTimes(capacity: scratch)
    )
    var running: [Running] = []
    let limit = offers.reduce(0) { $0 + $1.capacity.gpus } * 9 / 10
    var (taken, refused, differing) = (0, 0, 0)
    let every = max(1, jobs / max(1, scratch))
    for number in 0..<jobs {
      let isGang = Int.random(in: 0..<1000, using: &random) < gangsPerThousand
      // Few shapes are frequent, most are rare, as in every trace.
      let rank = Double.random(in: 0..<1, using: &random)
      let shape = mix[min(mix.count - 1, Int(rank * rank * rank * Double(mix.count)))]
      let request = GangRequest(
        ranks: isGang ? Int.random(in: 2...16, using: &random) : 1, resources: shape)
      while taken + request.ranks * shape.gpus > limit, !running.isEmpty {
        let index = Int.random(in: 0..<running.count, using: &random)
        let ended = running[index]
        running.swapAt(index, running.count - 1)
        running.removeLast()
        for member in ended.placement.members {
          inventory.release(ended.resources, gpus: member.gpuIndices, on: member.node)
          taken -= member.gpuIndices.count
        }
      }
      let answer = times.measure { inventory.place(request) }
      if scratch > 0, number % every == 0 {
        let placer = GangPlacer(packing: packing)
        let offers = inventory.offers
        if !Self.isEqual(answer, scratchTimes.measure { placer.place(request, on: offers) }) {
          differing += 1
        }
      }
      guard case .placed(let placement) = answer else {
        refused += 1
        continue
      }
      for member in placement.members {
        inventory.take(shape, gpus: member.gpuIndices, on: member.node)
        taken += member.gpuIndices.count
      }
      running.append(Running(resources: shape, placement: placement))
    }
    let bytes = residentBytes() - before - Int64(times.byteCount + scratchTimes.byteCount)
    Report(
      [
        ("nodes", Double(nodes)), ("jobs", Double(jobs)), ("refused", Double(refused)),
        ("decisions_per_second", times.perSecond),
        ("cpu_mean_us", times.meanProcessorMicroseconds),
        ("p50_us", times.microseconds(at: 0.5)), ("p99_us", times.microseconds(at: 0.99)),
        ("p999_us", times.microseconds(at: 0.999)),
        ("bytes_per_node", Double(bytes) / Double(nodes)),
        ("scratch_decisions_per_second", scratchTimes.perSecond),
        ("scratch_p50_us", scratchTimes.microseconds(at: 0.5)),
        ("scratch_p99_us", scratchTimes.microseconds(at: 0.99)),
        ("differing_answers", Double(differing)),
      ], beside: References.decisions
    ).print(asJSON: json)
  }

  private static func isEqual(_ answer: NodeInventory.Answer, _ result: PlacementResult) -> Bool {
    switch result {
    case .placed(let placement): answer == .placed(placement)
    case .refused(let refusal): answer == .refused(fitsWhenIdle: refusal.fitsWhenIdle)
    }
  }

  private static func offers(_ count: Int, random: inout SplitMix64) -> [NodeOffer] {
    (0..<count).map { index in
      let gpus = [8, 8, 8, 8, 2, 2, 4, 1].randomElement(using: &random) ?? 8
      let model = gpus < 4 ? "T4" : "A100"
      return NodeOffer(
        node: PeerID(high: UInt64(index), low: random.next()), name: "node-\(index)",
        capacity: ResourceSet(
          milliCPUs: (gpus * 12 + 16) * 1000, gpus: gpus, memory: .gibi(UInt64(gpus) * 64 + 32),
          disk: .gibi(1000)),
        gpus: (0..<gpus).map {
          NodeFacts.GPU(model: model, uuid: "\(index)-\($0)", memory: .gibi(40))
        },
        used: ResourceSet(), usedGPUs: [], isPlaceable: true)
    }
  }

  private static func shape(random: inout SplitMix64) -> ResourceSet {
    let gpus = [0, 1, 1, 1, 1, 2, 4, 8].randomElement(using: &random) ?? 1
    return ResourceSet(
      milliCPUs: Int.random(in: 1...14, using: &random) * 1000 * max(1, gpus), gpus: gpus,
      memory: .gibi(UInt64.random(in: 2...48, using: &random) * UInt64(max(1, gpus))),
      disk: .gibi(UInt64.random(in: 1...10, using: &random)))
  }
}
