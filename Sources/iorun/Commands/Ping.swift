internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun ping`: how far a node is, and by which way.
struct Ping: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Measure the way to a node.",
    discussion: """
      Without options: words through the mesh, client to head to node and back.
      With --until-direct: looks for a direct path by UDP as gangs' tunnels do, tells each change \
      of the way, and ends with status 0 once it is direct, with 7 when the time is up.
      For operators, and for buyers with a rank on the node.
      """)

  @OptionGroup var client: ClientOptions

  @Argument(help: "The node: its name or id.")
  var node: String

  @Option(name: .shortAndLong, help: "How many words.")
  var count = 5

  @Flag(name: .customLong("until-direct"), help: "Look for a direct path.")
  var untilDirect = false

  @Option(help: "Seconds to look for a direct path.")
  var timeout = 20.0

  func validate() throws {
    guard (1...1000).contains(count) else { throw ValidationError("--count takes 1 to 1000") }
    guard (0.1...3600).contains(timeout) else {
      throw ValidationError("--timeout takes 0.1 to 3600 seconds")
    }
  }

  func run() async throws {
    try await client.withHead { head in
      let nodes = try await head.network.nodes()
      guard
        let found = nodes.first(where: {
          $0.facts.name == node || $0.id.description == node
        })
      else {
        throw IorunError(
          .notFound, "there is no node '\(node)'", remedy: "List them with `iorun nodes`")
      }
      if untilDirect {
        try await search(head, found.id)
      } else {
        try await measure(head, found)
      }
    }
  }

  private func measure(_ head: HeadConnection, _ node: NodeStatus) async throws {
    var (whole, toNode): ([Double], [Double]) = ([], [])
    let clock = ContinuousClock()
    for number in 1...count {
      let start = clock.now
      let share = try await head.rendezvous.echo(node.id)
      whole.append((clock.now - start) / .milliseconds(1))
      toNode.append(share)
      if !client.json {
        Output.write(
          "\(node.facts.name): word \(number) in \(PathRendering.tenths(whole.last ?? 0)) ms, "
            + "head to node \(PathRendering.tenths(share)) ms\n")
      }
      if number < count { try await Task.sleep(for: .milliseconds(200)) }
    }
    if client.json {
      Output.write(
        try JSONOutput.line(
          View(
            node: node.id.description, name: node.facts.name, way: "head",
            roundTripMilliseconds: Statistics(whole), headToNodeMilliseconds: Statistics(toNode))))
    } else {
      let figures = Statistics(whole)
      Output.write(
        "through the head: min \(PathRendering.tenths(figures.min)), "
          + "median \(PathRendering.tenths(figures.median)), "
          + "max \(PathRendering.tenths(figures.max)) ms\n")
    }
  }

  private func search(_ head: HeadConnection, _ node: PeerID) async throws {
    let ping = try PathPing(head, node: node)
    let start = ContinuousClock.now
    var last: PathPing.Reading?
    do {
      try await ping.begin(head)
      while ContinuousClock.now - start < .seconds(timeout) {
        let reading = await ping.reading()
        let isNews =
          last?.isDirect != reading.isDirect || last?.address != reading.address
          || last?.roundTripMilliseconds == nil && reading.roundTripMilliseconds != nil
        if isNews {
          tell(reading, after: ContinuousClock.now - start)
          last = reading
        }
        if reading.isDirect == true, reading.roundTripMilliseconds != nil { break }
        try await Task.sleep(for: .milliseconds(20))
      }
      await ping.stop()
    } catch {
      await ping.stop()
      throw error
    }
    guard last?.isDirect == true else {
      throw IorunError(
        .timedOut, "no direct path to '\(self.node)' was found within \(timeout) s",
        remedy: "See `iorun netcheck` on both sides; the relay goes on carrying everything")
    }
  }

  private func tell(_ reading: PathPing.Reading, after time: Duration) {
    let milliseconds = time / .milliseconds(1)
    if client.json {
      let view = SearchView(
        name: reading.name, way: PathRendering.way(reading.isDirect), address: reading.address,
        roundTripMilliseconds: reading.roundTripMilliseconds, afterMilliseconds: milliseconds)
      if let line = try? JSONOutput.line(view) { Output.write(line) }
      return
    }
    let trip = reading.roundTripMilliseconds.map { " in \(PathRendering.tenths($0)) ms" } ?? ""
    let by = reading.address.map { " by \($0)" } ?? ""
    Output.write(
      "\(reading.name): \(PathRendering.way(reading.isDirect))\(by)\(trip), "
        + "after \(PathRendering.tenths(milliseconds)) ms\n")
  }

  private struct View: Encodable {
    var node: String
    var name: String
    var way: String
    var roundTripMilliseconds: Statistics
    var headToNodeMilliseconds: Statistics
  }

  private struct SearchView: Encodable {
    var name: String
    var way: String
    var address: String?
    var roundTripMilliseconds: Double?
    var afterMilliseconds: Double
  }

  private struct Statistics: Encodable {
    var min: Double
    var median: Double
    var max: Double

    init(_ values: [Double]) {
      let sorted = values.sorted()
      min = sorted.first ?? 0
      median = sorted.isEmpty ? 0 : sorted[sorted.count / 2]
      max = sorted.last ?? 0
    }
  }
}
