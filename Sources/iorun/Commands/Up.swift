internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunLocal

/// `iorun up`: a whole network on this machine.
struct Up: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Start a head and nodes on this machine, each a process of its own.",
    discussion: """
      Starts what of the network does not run yet, so it also brings back a head that crashed.
      Every node offers all cores of the machine unless --cpus says otherwise.
      """)

  @OptionGroup var state: StateOptions

  @Option(help: "How many nodes (default: as many as last time, or 3).")
  var nodes: Int?

  @Option(help: "The head's port on 127.0.0.1 (default: the last one, or any free one).")
  var port: UInt16?

  @OptionGroup var offering: OfferOptions

  @OptionGroup var owner: OwnerOptions

  @Flag(help: "Print one JSON object (docs/JSON.md).")
  var json = false

  func validate() throws {
    if let nodes, !(1...LocalNetwork.nodeLimit).contains(nodes) {
      throw ValidationError("--nodes takes a number from 1 to \(LocalNetwork.nodeLimit)")
    }
  }

  func run() async throws {
    let network = LocalNetwork(state: state.folder, program: Program.path)
    let started = try await network.up(
      nodes: nodes, port: port, milliCPUs: offering.milliCPUs,
      memory: try offering.mostMemory(), offer: try offering.offer(),
      claims: try offering.claims(), metrics: offering.metrics,
      owner: owner.ownerPID)
    let milliseconds = started.elapsed / .milliseconds(1)
    if json {
      Output.write(
        try JSONOutput.line(
          View(
            headAddress: started.headAddress, started: started.started, nodes: started.nodes,
            readyMilliseconds: milliseconds, stateDirectory: state.folder.path)))
    } else {
      Output.write(
        """
        ready in \(Int(milliseconds.rounded())) ms: head at \(started.headAddress), \
        \(started.nodes) node\(started.nodes == 1 ? "" : "s") (started: \
        \(started.started.joined(separator: ", ")))
        state in \(state.folder.path); stop it with `iorun down`

        """)
    }
  }

  private struct View: Encodable {
    var headAddress: String
    var started: [String]
    var nodes: Int
    var readyMilliseconds: Double
    var stateDirectory: String
  }
}
