import ArgumentParser
import Foundation
import IorunCore
import IorunRuntime
import IorunWire

/// `iorun-runtime-bench`: Ray's microbenchmark against the Swift API. It is its own worker program.
@main
struct RuntimeBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-runtime-bench",
    abstract: "Measures tasks, actors and objects of the Swift API in a running network.",
    subcommands: [RunLines.self, Scale.self])

  static func main() async {
    // A worker is started without arguments: it serves until its node ends it.
    if ProcessInfo.processInfo.environment["IORUN_ROLE"] == "worker" {
      do {
        try await serve { _ in }
      } catch {
        FileHandle.standardError.write(Data("\(error)\n".utf8))
        Foundation.exit(1)
      }
      return
    }
    await main(nil)
  }

  static func serve(_ driver: @escaping @Sendable (Cluster) async throws -> Void) async throws {
    try await Cluster.run(
      tasks: [SmallValue.self, PutSmall.self, PutLarge.self, ManyReferences.self, CallActors.self],
      actors: [Answerer.self, Client.self], name: "iorun-runtime-bench", driver: driver)
  }
}

struct RunLines: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "lines", abstract: "Runs the lines of Ray's microbenchmark.")

  @Flag(help: "Print a JSON array.") var json = false
  @Option(help: "Only lines that contain this text.") var lines: String?
  @Option(help: "Seconds of one trial; each line has four.") var seconds = 2.0

  func run() async throws {
    let (pattern, seconds, json) = (lines ?? "", seconds, json)
    try await RuntimeBench.serve { cluster in
      let cpus = try await Self.cpus(cluster)
      var results: [LineResult] = []
      for line in Lines.all(cpus: max(1, cpus / 2))
      where pattern.isEmpty || line.name.contains(pattern) {
        let result = try await Meter.measure(line, cluster, seconds: seconds)
        results.append(result)
        if !json { print(result) }
      }
      if json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes]
        print(String(decoding: try encoder.encode(results), as: UTF8.self))
      }
    }
  }

  private static func cpus(_ cluster: Cluster) async throws -> Int {
    let node = try await cluster.nodes.first { $0.node == cluster.context.node }
    return Int(node?.resources["CPU"] ?? 2)
  }
}

/// What one line measured.
struct LineResult: Codable, Sendable, CustomStringConvertible {
  let line: String
  let perSecond: Double
  let deviation: Double
  let cpuMicroseconds: Double

  enum CodingKeys: String, CodingKey {
    case line
    case perSecond = "per_s"
    case deviation = "stdev"
    case cpuMicroseconds = "cpu_us"
  }

  var description: String {
    let rate = String(format: "%.2f +- %.2f", perSecond, deviation)
    return "\(line): \(rate) per second, \(String(format: "%.1f", cpuMicroseconds)) us CPU each"
  }
}

/// Ray's timing rule: warm up for a second, then four trials; the mean and the population's deviation.
enum Meter {
  static func measure(_ line: Line, _ cluster: Cluster, seconds: Double) async throws -> LineResult
  {
    let body = try await line.prepare(cluster)
    var warm = 0
    let warmStart = ContinuousClock.now
    while warmStart.duration(to: .now) < .seconds(min(1, seconds)) {
      try await body()
      warm += 1
    }
    let step = warm / 10 + 1
    var rates: [Double] = []
    var calls = 0
    let cpuStart = Self.cpuSeconds()
    for _ in 0..<4 {
      var count = 0
      let start = ContinuousClock.now
      var elapsed = Duration.zero
      while elapsed < .seconds(seconds) {
        for _ in 0..<step { try await body() }
        count += step
        elapsed = start.duration(to: .now)
      }
      calls += count
      rates.append(line.multiplier * Double(count) / (elapsed / .seconds(1)))
    }
    let cpu = Self.cpuSeconds() - cpuStart
    let mean = rates.reduce(0, +) / Double(rates.count)
    let variance = rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count)
    return LineResult(
      line: line.name, perSecond: mean, deviation: variance.squareRoot(),
      cpuMicroseconds: cpu * 1e6 / (Double(calls) * line.multiplier))
  }

  /// Processor seconds of the processes below `IORUN_BENCH_ROOT`, the network's and the workers'
  /// among them; without it, of this machine.
  private static func cpuSeconds() -> Double {
    if let root = ProcessInfo.processInfo.environment["IORUN_BENCH_ROOT"].flatMap({ pid_t($0) }) {
      return ProcessTree(root: root).processorSeconds
    }
    guard let text = try? String(contentsOfFile: "/proc/stat", encoding: .utf8),
      let line = text.split(separator: "\n").first
    else { return 0 }
    let ticks = line.split(separator: " ").dropFirst().compactMap { Double($0) }
    guard ticks.count > 4 else { return 0 }
    return (ticks.reduce(0, +) - ticks[3] - ticks[4]) / 100
  }
}
