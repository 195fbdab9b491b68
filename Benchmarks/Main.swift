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
    subcommands: [AllCommand.self, CallsCommand.self, LocalCommand.self, PartyCommand.self],
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
