import ArgumentParser
import Foundation
import WanLink

/// All kinds in turn, several rounds, so that what else the machine does hits all of them.
struct CompareCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare",
    abstract: "Throughput, round trips and processor time of a bare wire, wireguard-go and ours.",
    discussion: """
      Needs root, and the packages iproute2, wireguard-go and wireguard-tools. With --python it \
      also measures a Gloo all-reduce of 33.5 MB between two PyTorch processes.
      """)

  @Option(help: "Rounds; each figure is the median of them.") var rounds = 3
  @Option(help: "Seconds of each stream.") var seconds = 3.0
  @Option(help: "Round trips of each measurement.") var trips = 4000
  @Option(help: "Our threads: 1, or 2 (one a direction).") var threads = 1
  @Option(help: "The interfaces' MTU in bytes.") var mtu = 1380
  @Option(help: "A python3 with torch, for the all-reduce.") var python: String?
  @Option(help: "Only kinds with this text in their name.") var kinds: String?
  @Flag(help: "Print JSON.") var json = false

  mutating func run() async throws {
    if let reason = NetworkNamespaces.unavailableReason { throw ValidationError(reason) }
    var samples: [TunnelKind: [Sample]] = [:]
    let kinds = TunnelKind.allCases.filter { kind in
      self.kinds.map { kind.rawValue.contains($0) } ?? true
    }
    for _ in 0..<max(1, rounds) {
      for kind in kinds { samples[kind, default: []].append(try await measure(kind)) }
    }
    let results = kinds.map { TunnelResult($0, samples[$0] ?? []) }
    if json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      print(String(decoding: try encoder.encode(results), as: UTF8.self))
    } else {
      print(TunnelResult.table(results))
    }
  }

  private func measure(_ kind: TunnelKind) async throws -> Sample {
    try await NetworkNamespaces.with("a", "b") { namespaces in
      try await namespaces.joinByWire("a", address: "10.9.0.1/24", to: "b", address: "10.9.0.2/24")
      let tunnel = try await RunningTunnel(kind, threads: threads, mtu: mtu, in: namespaces)
      defer { tunnel.end() }
      let server = Process()
      let output = Pipe()
      server.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      server.arguments = namespaces.command(
        in: "b", [Programs.own, "serve", kind.farAddress, "5001"])
      server.standardOutput = output
      try server.run()
      defer {
        server.terminate()
        server.waitUntilExit()
      }
      _ = output.fileHandleForReading.availableData

      func near(_ words: String...) throws -> String {
        try Programs.run(namespaces.command(in: "a", [Programs.own] + words))
      }
      _ = try near("round-trips", kind.farAddress, "5001", "200")
      let trips = try near("round-trips", kind.farAddress, "5001", "\(trips)")
        .split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
      let before = tunnel.processorSeconds
      let stream = try JSONDecoder().decode(
        Traffic.Stream.self,
        from: Data(try near("stream", kind.farAddress, "5001", "\(seconds)").utf8))
      let used = tunnel.processorSeconds - before
      var sample = Sample(
        gigabitsPerSecond: Double(stream.bytes) * 8 / stream.seconds / 1e9,
        roundTripMilliseconds: trips.first ?? 0, roundTrip99Milliseconds: trips.last ?? 0,
        processorSecondsPerGigabyte: used / (Double(stream.bytes) / 1e9))
      if let python {
        sample.allReduceMilliseconds = try AllReduce.milliseconds(
          python, tunnel, kind, namespaces)
      }
      return sample
    }
  }
}

/// One kind, measured once.
struct Sample {
  var gigabitsPerSecond: Double
  var roundTripMilliseconds: Double
  var roundTrip99Milliseconds: Double
  var processorSecondsPerGigabyte: Double
  var allReduceMilliseconds: Double?
}

/// One kind, the medians of its samples.
struct TunnelResult: Encodable {
  var kind: TunnelKind
  var gigabitsPerSecond: Double
  var roundTripP50Milliseconds: Double
  var roundTripP99Milliseconds: Double
  var processorSecondsPerGigabyte: Double
  var allReduceMilliseconds: Double?

  init(_ kind: TunnelKind, _ samples: [Sample]) {
    func median(_ field: (Sample) -> Double) -> Double {
      let sorted = samples.map(field).sorted()
      return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
    self.kind = kind
    gigabitsPerSecond = median(\.gigabitsPerSecond)
    roundTripP50Milliseconds = median(\.roundTripMilliseconds)
    roundTripP99Milliseconds = median(\.roundTrip99Milliseconds)
    processorSecondsPerGigabyte = median(\.processorSecondsPerGigabyte)
    let reductions = samples.compactMap(\.allReduceMilliseconds).sorted()
    allReduceMilliseconds = reductions.isEmpty ? nil : reductions[reductions.count / 2]
  }

  /// Text with the peers beside each other.
  static func table(_ results: [TunnelResult]) -> String {
    func cell(_ value: Double?, _ digits: Int) -> String {
      let text = value.map { String(format: "%.\(digits)f", $0) } ?? "-"
      return String(repeating: " ", count: max(0, 12 - text.count)) + text
    }
    var lines = ["                   Gb/s   RTT p50 ms   RTT p99 ms     CPU s/GB  all-red. ms"]
    for result in results {
      lines.append(
        result.kind.rawValue.padding(toLength: 13, withPad: " ", startingAt: 0)
          + cell(result.gigabitsPerSecond, 2).dropFirst(2)
          + " " + cell(result.roundTripP50Milliseconds, 3)
          + " " + cell(result.roundTripP99Milliseconds, 3)
          + " " + cell(result.processorSecondsPerGigabyte, 2)
          + " " + cell(result.allReduceMilliseconds, 0))
    }
    if let ours = results.first(where: { $0.kind == .iorun }),
      let theirs = results.first(where: { $0.kind == .wireguardGo })
    {
      let ratio = ours.gigabitsPerSecond / theirs.gigabitsPerSecond
      lines.append(String(format: "iorun moves %.1f times what wireguard-go does", ratio))
      if let wire = results.first(where: { $0.kind == .veth }) {
        let added = ours.roundTripP50Milliseconds - wire.roundTripP50Milliseconds
        let theirAdded = theirs.roundTripP50Milliseconds - wire.roundTripP50Milliseconds
        lines.append(
          String(format: "added round trip: iorun %.3f ms, wireguard-go %.3f ms", added, theirAdded)
        )
      }
    }
    return lines.joined(separator: "\n")
  }
}
