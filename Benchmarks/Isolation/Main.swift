import ArgumentParser
import Foundation
import IorunCore
import IorunSandbox

/// What it costs to keep leases apart from a machine, beside the same programs without iorun, in one
/// run.
@main
struct IsolationBench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-isolation-bench",
    abstract:
      "Measure sandboxes, encrypted scratch and the guard beside bare runtimes and plain ext4.")

  @Argument(help: "What to measure: start, scratch, leases, guard (default: all of it).")
  var parts: [String] = []

  @Option(help: "Samples of a start, and containers for the guard.")
  var samples = 20

  @Option(help: "Leases that are opened and closed one after another.")
  var leases = 100

  @Option(help: "MiB that are written to scratch.")
  var mib = 256

  @Flag(help: "Print a JSON array.")
  var json = false

  static let all = ["start", "scratch", "leases", "guard"]

  func validate() throws {
    guard samples > 0, leases > 0, mib > 0 else {
      throw ValidationError("--samples, --leases and --mib must be more than 0")
    }
    for part in parts where !Self.all.contains(part) {
      throw ValidationError("'\(part)' is none of \(Self.all.joined(separator: ", "))")
    }
    guard geteuid() == 0 else {
      throw ValidationError("sandboxes with encrypted scratch need root")
    }
  }

  func run() async throws {
    let lab = try Lab()
    defer { lab.remove() }
    var figures: [Figure] = []
    for part in parts.isEmpty ? Self.all : parts {
      let found =
        switch part {
        case "start": try await StartBenchmark(lab: lab, samples: samples).run()
        case "scratch": try await ScratchBenchmark(lab: lab, mebibytes: mib).run()
        case "leases": try await LeaseBenchmark(lab: lab, count: leases).run()
        default: try await GuardBenchmark(lab: lab, samples: samples).run()
        }
      if !json { for figure in found { print(figure) } }
      figures += found
    }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(figures), as: UTF8.self))
    }
  }
}

/// One measured line: the middle of its samples, the least and the most.
struct Figure: Encodable, CustomStringConvertible {
  let name: String
  let unit: String
  let median: Double
  let least: Double
  let most: Double

  /// Describes samples, of which there must be one.
  init(_ name: String, _ samples: [Double], unit: String) {
    let sorted = samples.sorted()
    self.name = name
    self.unit = unit
    median = sorted.isEmpty ? .nan : sorted[sorted.count / 2]
    least = sorted.first ?? .nan
    most = sorted.last ?? .nan
  }

  var description: String {
    String(format: "%-58@ %10.1f %@ (%.1f to %.1f)", name as NSString, median, unit, least, most)
  }
}

extension Duration {
  /// As a number of milliseconds.
  var milliseconds: Double { self / .milliseconds(1) }
}
