internal import ArgumentParser
internal import Foundation
internal import IorunCore

/// Measures iorun on this machine: what a call costs beside plain libzmq, and what a local network
/// costs to start, to use and to leave idle.
@main
struct Bench: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "iorun-bench",
    abstract: "Measures iorun on this machine; without a subcommand, everything.",
    version: IorunVersion.release,
    subcommands: [
      AllCommand.self, CallsCommand.self, LocalCommand.self, PeersCommand.self, PartyCommand.self,
      PeersPartyCommand.self,
    ],
    defaultSubcommand: AllCommand.self)
}

/// Everything, one after the other.
struct AllCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "all", abstract: "Both benchmarks (the default).")

  @OptionGroup var options: BenchOptions

  func run() async throws {
    var report = Report(machine: try Machine())
    report.calls = try CallsBenchmark(options).run()
    report.local = try await LocalBenchmark(options).run()
    try report.finish(asJSON: options.json)
  }
}

/// Distributed actor calls beside plain libzmq.
struct CallsCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "calls", abstract: "Distributed actor calls beside plain libzmq.")

  @OptionGroup var options: BenchOptions
  @Flag(help: "Only the lines over TCP with CURVE.") var secure = false

  func run() async throws {
    var report = Report(machine: try Machine())
    let lines = (Line.all + Line.bulk).filter {
      !secure || ($0.carrier == .tcp && $0.isEncrypted)
    }
    report.calls = try CallsBenchmark(options, lines: lines).run()
    try report.finish(asJSON: options.json)
  }
}

/// Thousands of peers on one head.
struct PeersCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "peers",
    abstract: "Thousands of light peers, each over a CURVE connection of its own, on one head.")

  @Option(help: "How many peers.")
  var count = 5000

  @Option(help: "How many processes hold them.")
  var processes = 4

  @Option(help: "How long heartbeats are measured, in seconds.")
  var seconds = 20.0

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    guard count > 0, processes > 0, seconds > 0 else {
      throw ValidationError("--count, --processes and --seconds must be more than 0")
    }
  }

  func run() async throws {
    var report = Report(machine: try Machine())
    report.peers = try PeersBenchmark(count: count, processes: processes, seconds: seconds).run()
    try report.finish(asJSON: json)
  }
}

/// A network of three nodes on this machine.
struct LocalCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "local", abstract: "A head and three nodes on this machine.")

  @OptionGroup var options: BenchOptions

  func run() async throws {
    var report = Report(machine: try Machine())
    report.local = try await LocalBenchmark(options).run()
    try report.finish(asJSON: options.json)
  }
}
