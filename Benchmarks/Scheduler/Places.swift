import ArgumentParser
import IorunScheduler

/// Checks claimed places against measured round trips on real data: cloud regions with the places that
/// a list gives for them. Each region that the check calls false is printed with its evidence.
struct Places: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "places",
    abstract: "Claimed places against measured round trips between cloud regions.")

  @Option(help: ArgumentHelp("cloud,region,latitude,longitude,...", valueName: "CSV"))
  var locations: String
  @Option(help: ArgumentHelp("from_cloud,from_region,to_cloud,...,avgrtt,...", valueName: "CSV"))
  var results: String
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let table = try CSVTable(locations)
    let clouds = try table.texts("cloud")
    let regions = try table.texts("region")
    let latitudes = try table.texts("latitude").map { Float($0) ?? .nan }
    let longitudes = try table.texts("longitude").map { Float($0) ?? .nan }
    var numbers: [String: Int] = [:]
    var points: [GeoPoint?] = []
    var check = LocationCheck()
    for row in regions.indices {
      let point = GeoPoint(latitude: latitudes[row], longitude: longitudes[row])
      numbers["\(clouds[row]) \(regions[row])"] = row
      points.append(point)
      // Every region stands for itself: two of one cloud can witness against a third.
      check.claim(row, point, supplier: UInt32(row))
    }
    let measured = try CSVTable(results)
    let from = zip(try measured.texts("from_cloud"), try measured.texts("from_region"))
    let to = zip(try measured.texts("to_cloud"), try measured.texts("to_region"))
    let trips = try measured.texts("avgrtt").map { Float($0) ?? 0 }
    var errors: [Float] = []
    let prior = RoundTripPrior()
    for ((one, other), trip) in zip(zip(from, to), trips) where trip > 0 {
      guard let left = numbers["\(one.0) \(one.1)"], let right = numbers["\(other.0) \(other.1)"],
        let here = points[left], let there = points[right]
      else { continue }
      check.measured(left, right, milliseconds: trip)
      let expected = prior.milliseconds(
        from: DevicePlace(point: here), to: DevicePlace(point: there))
      if let expected { errors.append(abs(expected - trip) / trip) }
    }
    errors.sort()
    var (isFalse, isDoubtful) = (0, 0)
    for (row, verdict) in check.verdicts.sorted(by: { $0.key < $1.key }) {
      let (word, evidence) = Self.words(verdict)
      if word == "false" { isFalse += 1 } else { isDoubtful += 1 }
      guard !json, let first = evidence.first else { continue }
      print(
        "\(clouds[row]) \(regions[row]): \(word): \(first.measuredMilliseconds) ms to "
          + "\(clouds[first.witness]) \(regions[first.witness]), which is "
          + "\(Int(first.claimedKilometres)) km away and so at least \(first.leastMilliseconds) ms "
          + "(\(evidence.count) such)")
    }
    Report([
      ("regions", Double(regions.count)), ("measurements", Double(errors.count)),
      ("false_places", Double(isFalse)), ("doubtful_places", Double(isDoubtful)),
      ("prior_median_relative_error", errors.isEmpty ? 0 : Double(errors[errors.count / 2])),
    ]).print(asJSON: json)
  }

  private static func words(
    _ verdict: LocationCheck.Verdict
  ) -> (String, [LocationCheck.Contradiction]) {
    switch verdict {
    case .isFalse(let evidence): ("false", evidence)
    case .isDoubtful(let evidence): ("doubtful", evidence)
    }
  }
}
