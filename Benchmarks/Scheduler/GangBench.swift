import ArgumentParser
import IorunCore
import IorunScheduler

/// An inventory of many devices in sites all over the Earth: what it takes to keep, and what a gang's
/// placement, its offers and a refusal's explanation cost on it.
struct GangBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gangs", abstract: "Gangs placed by latency on a large inventory.")

  @Option(help: "Machines, of 1 to 8 GPUs each.")
  var devices = 100_000
  @Option(help: "Sites that they are in.")
  var sites = 600
  @Option(help: "Gangs to place; each stays.")
  var gangs = 200
  @Option(name: .customLong("k"), help: "Bundles of a gang, of one GPU each.")
  var bundles = 64
  @Option(help: "Seed of machines, sites and gangs.")
  var seed: UInt64 = 1
  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard (1...DeviceInventory.limit).contains(devices), (1...8000).contains(sites), gangs > 0,
      bundles > 0
    else { throw ValidationError("the numbers must be above 0, --devices at most 100,000") }
  }

  func run() throws {
    var random = SplitMix64(seed: seed)
    let places = (0..<sites).compactMap { _ in
      GeoPoint(
        latitude: .random(in: -40...60, using: &random),
        longitude: .random(in: -180...180, using: &random))
    }
    let matrix = try matrix(places, random: &random)
    let offers = (0..<devices).map { offer($0, places, random: &random) }
    let before = residentBytes()
    var inventory = DeviceInventory()
    var adding = DecisionTimes(capacity: 1)
    try adding.measure {
      for (number, offer) in offers.enumerated() {
        let row = try inventory.add(offer)
        inventory.locate(row, site: Self.site(number, places.count), hasDoubtfulPlace: false)
      }
    }
    let bytes = residentBytes() - before
    var (placing, explaining, offering) = (
      DecisionTimes(capacity: gangs), DecisionTimes(capacity: 8), DecisionTimes(capacity: 4)
    )
    var (placed, trips, gap) = (0, 0.0, Float(0))
    for number in 0..<gangs {
      let demand = demand(number, strategy: .closest)
      let planner = GangPlanner(inventory, matrix: matrix)
      guard case .placed(let choice) = placing.measure({ planner.place(demand) }) else { continue }
      placed += 1
      trips += Double(choice.maxRTTMilliseconds)
      gap = max(gap, choice.optimalityGap)
      for member in choice.members {
        try inventory.take(demand.bundles[member.kind].need, at: member.row)
      }
    }
    let planner = GangPlanner(inventory, matrix: matrix)
    for number in 0..<4 {
      var hopeless = demand(number, strategy: .site(maxRTTMilliseconds: 0.01))
      hopeless.bundles[0].count = 20_000
      _ = explaining.measure { planner.place(hopeless) }
      _ = offering.measure { OfferSearch(planner).offers(demand(number, strategy: .closest)) }
    }
    Report([
      ("devices", Double(devices)), ("sites", Double(sites)), ("gangs_placed", Double(placed)),
      ("bytes_per_device", Double(bytes) / Double(devices)),
      ("adds_per_second", Double(devices) * adding.perSecond),
      ("gang_p50_us", placing.microseconds(at: 0.5)),
      ("gang_p99_us", placing.microseconds(at: 0.99)),
      ("mean_max_rtt_ms", placed > 0 ? trips / Double(placed) : 0),
      ("claimed_gap_max", Double(gap)),
      ("explain_p50_us", explaining.microseconds(at: 0.5)),
      ("offers_p50_us", offering.microseconds(at: 0.5)),
    ]).print(asJSON: json)
  }

  private func demand(_ number: Int, strategy: GangDemand.Strategy) -> GangDemand {
    var filter = DeviceFilter()
    filter.deviceMemory = .gibi(number % 2 == 0 ? 24 : 40)
    filter.verification = .verified
    let need = ResourceSet(milliCPUs: 4000, gpus: 1, memory: .gibi(16))
    return GangDemand(
      bundles: [.init(count: bundles, need: need, filter: filter)], strategy: strategy)
  }

  /// A third of the machines is in a tenth of the sites.
  private static func site(_ number: Int, _ sites: Int) -> Int {
    number % 3 == 0 ? number % max(1, sites / 10) : (number &* 7919) % sites
  }

  private func offer(
    _ number: Int, _ places: [GeoPoint], random: inout SplitMix64
  ) -> DeviceOffer {
    let kinds: [(String, UInt64, HardwareClass, Int)] = [
      ("NVIDIA GeForce RTX 4090", 24, .consumer, 400_000),
      ("NVIDIA RTX A6000", 48, .workstation, 600_000),
      ("NVIDIA A100", 80, .dataCentre, 800_000), ("NVIDIA H100", 80, .dataCentre, 2_000_000),
    ]
    let kind = kinds[Int.random(in: 0..<4, using: &random)]
    let gpus = [1, 1, 2, 4, 8][Int.random(in: 0..<5, using: &random)]
    let site = Self.site(number, places.count)
    return DeviceOffer(
      id: PeerID(high: 7, low: UInt64(number)), supplier: "supplier-\(site % 97)",
      hardware: kind.2, model: kind.0, deviceMemory: .gibi(kind.1),
      capacity: ResourceSet(
        milliCPUs: gpus * 12_000, gpus: gpus, memory: .gibi(UInt64(gpus) * 48),
        disk: .gibi(UInt64(gpus) * 200)),
      place: DevicePlace(country: "C\(site % 60)", city: "city-\(site)", point: places[site]),
      tier: ConnectivityTier.allCases[Int.random(in: 1..<5, using: &random)],
      verification: Int.random(in: 0..<4, using: &random) == 0 ? .unverified : .verified,
      security: Int.random(in: 0..<5, using: &random) == 0 ? [.soc2] : [],
      microdollarsPerHour: kind.3 * Int.random(in: 80...130, using: &random) / 100,
      reliability: .random(in: 0.9...1, using: &random))
  }

  /// Round trips by distance, with detours.
  private func matrix(_ places: [GeoPoint], random: inout SplitMix64) throws -> LatencyMatrix {
    var values = [Float](repeating: 0, count: places.count * places.count)
    for left in places.indices {
      for right in 0..<left {
        let detour = Float.random(in: 1.1...2.6, using: &random)
        values[left * places.count + right] =
          1 + detour * places[left].leastRoundTripMilliseconds(to: places[right])
      }
    }
    guard let matrix = LatencyMatrix(count: places.count, milliseconds: values) else {
      throw ValidationError("too many sites")
    }
    return matrix
  }
}
