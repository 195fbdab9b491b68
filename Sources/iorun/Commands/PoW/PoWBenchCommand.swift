internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunPoW

/// `iorun pow bench`: every kernel on this machine.
struct PoWBenchCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure every kernel of proof of work beside OpenSSL and the processor's limit.",
    discussion: """
      Rates are work a second of CPU time, so a busy machine changes little. Takes about half a \
      minute, and --walk-mib of memory.
      """)

  @Option(help: "Measure on so many threads as well as on one (default: all cores).")
  var threads: Int?

  @Option(help: "CPU seconds of a trial; five are made and the best counts.")
  var seconds = 0.1

  @Option(name: .customLong("walk-mib"), help: "MiB of memory that is walked over.")
  var walkMib = 256

  @Flag(help: "Print one JSON array (docs/JSON.md).")
  var json = false

  func run() async throws {
    guard (1...65_536).contains(walkMib), seconds > 0,
      threads.map({ (1...512).contains($0) }) ?? true
    else {
      throw IorunError(
        .specInvalid, "these sizes cannot be measured",
        remedy: "Use 1 to 512 threads, 1 to 65536 MiB and a time above 0")
    }
    let bench = KernelBench(trialSeconds: seconds, walkBytes: walkMib << 20)
    let count = threads ?? ProcessInfo.processInfo.activeProcessorCount
    let isJSON = json
    let rows = try await Blocking.run {
      try bench.run(threads: count > 1 ? [1, count] : [1]) { row in
        if !isJSON { Output.write(KernelBenchTable.line(row) + "\n") }
      }
    }
    if json { Output.write(try JSONOutput.line(rows)) }
  }
}
