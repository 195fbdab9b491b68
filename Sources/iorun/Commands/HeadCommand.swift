internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import IorunHead
internal import IorunLocal
internal import IorunMesh

/// `iorun head`: the control plane of a network.
struct HeadCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "head", abstract: "Run a network's head, until interrupted.",
    discussion: """
      One port carries everything. Nodes and clients dial it; the head dials nobody.
      Let them in with `iorun ticket create --role supplier` (or buyer) on this machine.
      """)

  @OptionGroup var state: StateOptions

  @Option(help: "The address and port to listen on.")
  var listen = "0.0.0.0:7070"

  @Option(help: "The HOST:PORT that tickets name (default: this machine's address).")
  var advertise: String?

  @Option(
    help: ArgumentHelp(
      "Ask nodes to prove what they are every hour: off, record or enforce.",
      discussion: """
        record, which holds unless said, keeps what came of it (iorun pow status); with enforce jobs \
        go to verified nodes only, unless they say `verification: any`: for networks of strangers. A \
        proof takes the cores of an idle node for some 20 s of an hour, and gives way to jobs within \
        milliseconds; off spares a network of one's own machines that.
        """),
    completion: .list(VerificationMode.allCases.map(\.rawValue)))
  var verification: String?

  @Option(
    help: ArgumentHelp(
      "Serve proofs over HTTP on this loopback HOST:PORT (docs/openapi-pow.json).",
      discussion: """
        Callers need the token in head/http.token of the state folder. There is no TLS: put a proxy \
        that has it before this port.
        """))
  var http: String?

  @Option(
    name: .customLong("proof-round"),
    help: ArgumentHelp("Seconds that a round of proofs takes.", visibility: .hidden))
  var proofRound: Double = 5

  @Option(
    name: .customLong("line-seconds"),
    help: ArgumentHelp(
      "For how long bytes are streamed to a node and from it every six hours, to measure its line; 0: "
        + "never.",
      discussion: """
        At most two thirds of a gibibyte each way, one group of nodes that could share a line at a time, and \
        never while jobs have the node. Without --verification off.
        """))
  var lineSeconds: Double = 8

  @Option(
    name: .customLong("admit-node"),
    help: ArgumentHelp("Public keys of nodes of this machine.", visibility: .hidden))
  var nodeKeys: [String] = []

  @Option(
    help: """
      What models of processors do, beside what this version knows (iorun pow catalogue --json; iorun \
      pow calibrate adds a model). A node that says to be a known model is measured against it.
      """,
    completion: .file())
  var catalogue: String?

  @OptionGroup var owner: OwnerOptions

  func validate() throws {
    _ = try mode
    guard (0.05...60).contains(proofRound) else {
      throw ValidationError("--proof-round takes 0.05 to 60 s")
    }
    guard (0...60).contains(lineSeconds) else {
      throw ValidationError("--line-seconds takes 0 to 60 s")
    }
  }

  private var mode: VerificationMode {
    get throws {
      // `iorun up` names its nodes: they are this machine's own.
      guard let verification else { return nodeKeys.isEmpty ? .record : .off }
      guard let mode = VerificationMode(rawValue: verification) else {
        throw ValidationError("--verification takes off, record or enforce")
      }
      return mode
    }
  }

  func run() async throws {
    let folder = state.folder
    try StateFolder.make(folder.head)
    let lock = try FileLock(folder.head + "/lock")
    defer { lock.unlock() }
    if nodeKeys.isEmpty, let known = try NetworkFile.load(folder.networkFile), known.nodeCount > 0 {
      throw IorunError(
        .wrongState, "\(folder.path) belongs to a local network of `iorun up`",
        remedy: "Start it with `iorun up`, or choose another folder with --state-dir")
    }
    let address = try HeadAddress.advertised(listen: listen, advertise: advertise)
    let client = try CurveKey.loadOrCreate(at: folder.clientKey)
    let keys = try nodeKeys.map { text in
      guard let key = Base32.decode(text), key.count == CurveKey.byteCount else {
        throw ValidationError("--admit-node takes a public key in base 32")
      }
      return key
    }
    OpenFileLimit.raise()
    var options = HeadOptions()
    options.proofs.mode = try mode
    options.proofs.round = .seconds(proofRound)
    options.proofs.stream = .seconds(lineSeconds)
    options.http = http
    if let catalogue { options.proofs.catalogue = try PoWFiles.catalogue(catalogue) }
    let head = try await HeadProcess(
      stateFolder: folder.head, listen: listen, advertised: address,
      localOperator: client.publicKey, localNodes: keys, options: options)
    // `iorun up` has written the file already, with its nodes.
    if keys.isEmpty {
      try NetworkFile(headAddress: head.localAddress, headKey: head.publicKey, nodeCount: 0)
        .save(folder.networkFile)
      Output.write(
        """
        head \(head.peer.short) listens on \(listen); tickets name \(address)
        let nodes in: iorun ticket create --role supplier\(stateHint)
        let buyers in: iorun ticket create --role buyer\(stateHint)

        """)
    }
    let watch = try owner.watch()
    try await Signals.cancelling {
      try await OwnerWatch.during(watch) { try await head.run() }
    }
  }

  private var stateHint: String {
    state.stateDirectory.map { " --state-dir \($0)" } ?? ""
  }
}
