public import ArgumentParser
import Foundation
import IorunCore
public import IorunScheduler

/// Replays a trace of jobs through a queue policy in simulated time.
struct Replay: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "replay", abstract: "Completion times and fairness on a trace of jobs.",
    discussion: """
      All policies run in the same simulator on equal GPUs. 'easy' is told the true running times; \
      'ours' is told none. A lease that 'ours' takes back (never in its first hour) goes on from \
      its last checkpoint and pays for a restart.
      """)

  @Option(
    help: ArgumentHelp(
      "The jobs: timestamp,duration,num_gpus,...,cluster; the cluster is the tenant.",
      valueName: "CSV"))
  var jobs: String
  @Option(help: "ours, fifo or easy.")
  var policy: ClusterSimulation.Policy
  @Option(help: "GPUs of the cluster.")
  var gpus = 640
  @Option(help: "Seconds between two checkpoints of a job.")
  var checkpointSeconds = 900.0
  @Option(help: "Seconds that a restart costs.")
  var restartSeconds = 60.0
  @Flag(help: "Take no lease back.")
  var noPreemption = false
  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    var settings = ClusterSimulation.Settings(gpus: gpus)
    settings.checkpointSeconds = checkpointSeconds
    settings.restartSeconds = restartSeconds
    settings.preempts = !noPreemption
    let trace = try Self.trace(jobs)
    let clock = ContinuousClock()
    let start = clock.now
    let result = try Self.measures(trace.jobs, policy, settings)
    let took = (clock.now - start) / Duration.seconds(1)
    var references: [String: String] = [:]
    if !json {
      // The other policies on the same trace in the same run, beside each figure.
      for other in ClusterSimulation.Policy.allCases where other != policy {
        for (name, value) in Self.figures(try Self.measures(trace.jobs, other, settings)) {
          let before = references[name].map { "\($0); " } ?? ""
          references[name] = "\(before)\(other.rawValue) \(Report.text(value))"
        }
      }
    }
    Report(
      [
        ("gpus", Double(gpus)), ("jobs", Double(trace.jobs.count)),
        ("without_gpu", Double(trace.withoutGPU)),
      ] + Self.figures(result) + [
        ("preemptions", Double(result.preemptions)), ("lost_gpu_hours", result.lostGPUHours),
        ("replay_seconds", took),
      ], beside: references
    ).print(asJSON: json)
  }

  private static func measures(
    _ jobs: [SimulatedJob], _ policy: ClusterSimulation.Policy,
    _ settings: ClusterSimulation.Settings
  ) throws -> ReplayMeasures {
    var simulation = try ClusterSimulation(jobs: jobs, policy: policy, settings: settings)
    return try simulation.run()
  }

  /// What policies are compared by.
  private static func figures(_ result: ReplayMeasures) -> [(String, Double)] {
    [
      ("finished", Double(result.finished)), ("refused", Double(result.refused)),
      ("jct_mean_seconds", result.meanSeconds), ("jct_p50_seconds", result.medianSeconds),
      ("jct_p99_seconds", result.p99Seconds), ("makespan_seconds", result.makespanSeconds),
      ("bounded_slowdown", result.boundedSlowdown), ("jain_index", result.jainIndex),
      ("jain_index_of_slowdown", result.jainIndexOfSlowdown),
    ]
  }

  /// The jobs of a file that take GPUs, and how many took none: those are not the cluster's.
  private static func trace(_ path: String) throws -> (jobs: [SimulatedJob], withoutGPU: Int) {
    let table = try CSVTable(path)
    let times = try table.texts("timestamp")
    let durations = try table.texts("duration")
    let gpus = try table.integers("num_gpus")
    let clusters = try table.texts("cluster", missing: "one")
    let tenants = Dictionary(
      uniqueKeysWithValues: Set(clusters).sorted().enumerated().map { ($1, $0) })
    let seconds = try times.enumerated().map { row, text in
      guard let value = Self.seconds(text) else {
        throw InputError(path, line: table.line(row), "'\(text)' is no time")
      }
      return value
    }
    let first = seconds.min() ?? 0
    let jobs = try table.rows.indices.compactMap { row -> SimulatedJob? in
      guard let duration = Double(durations[row]) else {
        throw InputError(
          path, line: table.line(row), "'\(durations[row])' is no duration in seconds")
      }
      guard gpus[row] != 0 else { return nil }
      do {
        return try SimulatedJob(
          submittedAtSeconds: seconds[row] - first, runtimeSeconds: duration, gpus: gpus[row],
          tenant: tenants[clusters[row]] ?? 0)
      } catch let error as IorunError {
        throw InputError(path, line: table.line(row), error.message)
      }
    }
    return (jobs, table.rows.count - jobs.count)
  }

  /// `2017-10-09 07:01:55` as seconds since 1970, also as ISO 8601 writes it (`T` between, a part of
  /// a second, `Z` at the end), or a plain number of seconds.
  private static func seconds(_ text: Substring) -> Double? {
    if let plain = Double(text) { return plain.isFinite ? plain : nil }
    var text = text
    if text.last == "Z" { text = text.dropLast() }
    var fraction = 0.0
    if let point = text.lastIndex(of: ".") {
      guard let part = Double("0\(text[point...])") else { return nil }
      fraction = part
      text = text[..<point]
    }
    let parts = text.split(whereSeparator: { "- :T".contains($0) }).map { Int($0) }
    guard parts.count == 6, let year = parts[0], let month = parts[1], let day = parts[2],
      let hour = parts[3], let minute = parts[4], let second = parts[5],
      (1970...9999).contains(year), (1...12).contains(month), (1...31).contains(day),
      (0...23).contains(hour), (0...59).contains(minute), (0...60).contains(second)
    else { return nil }
    // Days since 1970 (Howard Hinnant, "chrono-compatible low-level date algorithms").
    let y = month <= 2 ? year - 1 : year
    let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
    let era = y / 400
    let yearOfEra = y - era * 400
    let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
    let days = era * 146_097 + dayOfEra - 719_468
    return Double(days * 86_400 + hour * 3600 + minute * 60 + second) + fraction
  }
}

extension ClusterSimulation.Policy: ExpressibleByArgument {}
