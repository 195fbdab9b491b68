import ArgumentParser
import Foundation

/// The far end of the measurements.
struct ServeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "The far end of the measurements.", shouldDisplay: false)
  @Argument var host: String
  @Argument var port: UInt16

  func run() throws { try Traffic.serve(host, port) }
}

/// One stream.
struct StreamCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "stream", abstract: "Measures one stream.", shouldDisplay: false)
  @Argument var host: String
  @Argument var port: UInt16
  @Argument var seconds: Double

  func run() throws {
    let stream = try Traffic.stream(to: host, port, seconds: seconds)
    print(String(decoding: try JSONEncoder().encode(stream), as: UTF8.self))
  }
}

/// Round trips.
struct RoundTripCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "round-trips", abstract: "Measures round trips.", shouldDisplay: false)
  @Argument var host: String
  @Argument var port: UInt16
  @Argument var count: Int

  func run() throws {
    let times = try Traffic.roundTrips(to: host, port, count: count)
    print(times[times.count / 2], times[times.count * 99 / 100])
  }
}
