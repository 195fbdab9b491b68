internal import CShim
internal import Foundation
internal import Glibc
public import IorunClient
internal import IorunContract
public import IorunCore
internal import IorunMesh
internal import IorunWire
public import IorunWorker

/// A whole network on this machine: a head and nodes as processes of their own, each with its key,
/// its state folder and its loopback address. What `iorun up` and `iorun down` do.
public struct LocalNetwork: Sendable {
  /// What became of `up`.
  public struct Started: Sendable, Hashable {
    /// Where the head listens.
    public var headAddress: String
    /// The processes that this call started, by name.
    public var started: [String]
    /// How many nodes are ready.
    public var nodes: Int
    /// From the call to the last node's registration.
    public var elapsed: Duration
  }

  /// The most nodes that one machine's loopback network takes.
  public static let nodeLimit = 250

  private let state: StateFolder
  private let program: String

  /// A network in a state folder, run by the binary at `program`.
  public init(state: StateFolder, program: String) {
    self.state = state
    self.program = program
  }

  /// Starts whatever of the network does not run, and returns when all nodes are ready.
  ///
  /// - Parameters:
  ///   - nodes: how many nodes; `nil` for as many as the folder's network has, or three.
  ///   - port: the head's port on loopback; `nil` for the folder's, or any free one.
  ///   - milliCPUs: what each node offers; `nil` for all cores of the machine.
  ///   - memory: the most that each node offers; `nil` for all that is free.
  ///   - offer: what each node offers to runtime jobs.
  ///   - claims: what each node's owner says of it.
  ///   - metrics: where the first node serves its metrics; the others take the ports behind it.
  ///   - owner: the process whose end ends the network; `nil` for none.
  /// - Throws: `alreadyRunning` where everything runs; `addressInUse`, `spawnFailed`; `timedOut`
  ///   with the end of a process's log where one does not come up.
  public func up(
    nodes: Int?, port: UInt16?, milliCPUs: Int?, memory: Bytes? = nil,
    offer: RuntimeOffer = RuntimeOffer(),
    claims: NodeClaims = NodeClaims(), metrics: String? = nil, owner: Int32? = nil
  ) async throws -> Started {
    let clock = ContinuousClock()
    let begun = clock.now
    for folder in [state.path, state.head, state.run, state.logs] { try StateFolder.make(folder) }
    // One `up` at a time on a folder.
    let lock = try FileLock(state.path + "/up.lock")
    defer { lock.unlock() }
    let known = try NetworkFile.load(state.networkFile)
    let running = ProcessRecord.all(in: state.run).filter(\.isRunning)
    let count = nodes ?? known.map { max(1, $0.nodeCount) } ?? 3
    let names = ["head"] + (1...max(1, count)).map { "node-\($0)" }
    let missing = names.filter { name in !running.contains { $0.name == name } }
    guard !missing.isEmpty else {
      throw IorunError(
        .alreadyRunning, "a network already runs in \(state.path)",
        remedy: "Use it, stop it with `iorun down`, or choose another folder with --state-dir")
    }
    let isHeadRunning = !missing.contains("head")
    // A head admits its nodes' keys when it starts.
    if isHeadRunning, let known, count > known.nodeCount {
      throw IorunError(
        .wrongState,
        "the network in \(state.path) runs with \(known.nodeCount) of \(count) nodes, and cannot grow while it runs",
        remedy: "Stop it with `iorun down` and start it with `iorun up --nodes \(count)`")
    }
    let address = try headAddress(known, port: port, isHeadRunning: isHeadRunning)
    let headKey = try CurveKey.loadOrCreate(at: state.head + "/head.key")
    // Made before the head starts, which admits it: two processes must not both draw one.
    _ = try CurveKey.loadOrCreate(at: state.clientKey)
    let keys = try (1...count).map {
      try prepareNode($0, address, headKey, milliCPUs, memory, offer, claims, metrics)
    }
    try NetworkFile(headAddress: address, headKey: headKey.publicKey, nodeCount: count)
      .save(state.networkFile)
    do {
      for name in missing {
        let arguments = name == "head" ? headArguments(address, keys) : nodeArguments(name)
        try start(name, arguments + (owner.map { ["--owner-pid", "\($0)"] } ?? []))
      }
      try await waitUntilReady(missing, nodes: count, deadline: clock.now + .seconds(20))
    } catch {
      // Half a network helps nobody: what this call started goes, what ran before stays.
      await giveUp(missing)
      throw error
    }
    return Started(
      headAddress: address, started: missing, nodes: count, elapsed: clock.now - begun)
  }

  /// Stops the network's processes, and no others.
  ///
  /// - Returns: the names of the processes that were stopped.
  /// - Throws: `notRunning` where none runs.
  public func down() async throws -> [String] {
    guard FileManager.default.fileExists(atPath: state.run) else { throw notRunning() }
    let lock = try FileLock(state.path + "/up.lock")
    defer { lock.unlock() }
    let records = ProcessRecord.all(in: state.run)
    let running = records.filter(\.isRunning)
    guard !running.isEmpty else {
      for record in records { record.remove(from: state.run) }
      throw notRunning()
    }
    // Nodes first, so that they can say goodbye to their head.
    for group in [running.filter { $0.name != "head" }, running.filter { $0.name == "head" }] {
      try await stop(group)
    }
    for record in records { record.remove(from: state.run) }
    return running.map(\.name)
  }

  private func giveUp(_ names: [String]) async {
    let records = names.compactMap { ProcessRecord.load($0, in: state.run) }
    // In a task of its own: a cancelled `up` must stop what it started as well.
    await Task { [self] in try? await stop(records) }.value
    for record in records { record.remove(from: state.run) }
  }

  private func stop(_ records: [ProcessRecord]) async throws {
    let ends = records.compactMap(ProcessEnd.init)
    for record in records where record.isRunning { kill(record.pid, SIGTERM) }
    let deadline = ContinuousClock.now + .seconds(15)
    try await Blocking.run { for end in ends { end.wait(until: deadline) } }
    // Where the kernel does not tell, it is asked.
    while records.contains(where: \.isRunning), ContinuousClock.now < deadline {
      try await Task.sleep(for: .milliseconds(10))
    }
    for record in records where record.isRunning { kill(record.pid, SIGKILL) }
  }

  /// The head's address: kept over restarts, because nodes and tickets know it.
  private func headAddress(_ known: NetworkFile?, port: UInt16?, isHeadRunning: Bool) throws
    -> String
  {
    let kept = known.flatMap { $0.nodeCount > 0 ? $0.headAddress : nil }
    if isHeadRunning, let kept { return kept }
    if let port { return "127.0.0.1:\(port)" }
    if let kept { return kept }
    return "127.0.0.1:\(try FreePort.find(on: "127.0.0.1"))"
  }

  /// Makes a node's folder, key and membership; returns its public key.
  private func prepareNode(
    _ number: Int, _ address: String, _ headKey: CurveKey, _ milliCPUs: Int?,
    _ memory: Bytes?, _ offer: RuntimeOffer, _ claims: NodeClaims, _ metrics: String?
  ) throws -> [UInt8] {
    let folder = state.node(number)
    try StateFolder.make(folder)
    let key = try CurveKey.loadOrCreate(at: folder + "/node.key")
    var offer = offer
    if number == 1 { offer.resources[RuntimeOffer.headNode] = 1 }
    var membership = NodeMembership(
      headAddress: address, headKey: headKey.publicKey, name: "node-\(number)",
      address: "127.0.0.\(number + 1)", milliCPUs: milliCPUs, offer: offer,
      metrics: try metrics.map { try Self.address($0, number) },
      claims: claims.isEmpty ? nil : claims)
    membership.memory = memory
    try membership.save(to: folder)
    return key.publicKey
  }

  /// `HOST:PORT` with the port of node `number`.
  private static func address(_ first: String, _ number: Int) throws -> String {
    guard let colon = first.lastIndex(of: ":"),
      let port = Int(first[first.index(after: colon)...]), (1...65_000).contains(port)
    else {
      throw IorunError(
        .specInvalid, "'\(first)' is no HOST:PORT to serve metrics on",
        remedy: "Use an address such as 127.0.0.1:9464")
    }
    return "\(first[..<colon]):\(port + number - 1)"
  }

  private func headArguments(_ address: String, _ nodeKeys: [[UInt8]]) -> [String] {
    ["head", "--state-dir", state.path, "--listen", address]
      + nodeKeys.flatMap { ["--admit-node", Base32.encode($0)] }
  }

  private func nodeArguments(_ name: String) -> [String] {
    ["node", "--folder", state.path + "/" + name]
  }

  private func start(_ name: String, _ arguments: [String]) throws {
    let log = state.logs + "/\(name).log"
    let descriptor = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else {
      throw IorunError(.fileSystem, "cannot write \(log)", remedy: "Check the folder's rights")
    }
    defer { close(descriptor) }
    var pid: pid_t = 0
    let environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
    let failure = withCStrings([program] + arguments) { argv in
      withCStrings(environment) { envp in
        iorun_spawn(program, argv, envp, "/", descriptor, nil, 0, &pid)
      }
    }
    guard failure == 0 else {
      throw IorunError(
        .spawnFailed, "cannot start \(program): \(String(cString: strerror(failure)))",
        remedy: "Check that the file is there and may be executed")
    }
    guard let record = ProcessRecord(name: name, pid: pid) else {
      throw self.failure("\(name) ended at once", name)
    }
    try record.save(in: state.run)
  }

  /// Waits for the head and the nodes; gives up as soon as a process has ended.
  private func waitUntilReady(
    _ started: [String], nodes: Int, deadline: ContinuousClock.Instant
  ) async throws {
    let connection = try await firstConnection(started, deadline)
    while true {
      try check(started, deadline)
      let status = try await connection.network.status()
      if status.nodes[NodeState.alive.rawValue, default: 0] >= nodes {
        // A program that starts next is to find all nodes ready for its tasks, too.
        let members = try await connection.runtime.nodes()
        if members.filter(\.alive).count >= nodes { break }
      }
      try await Task.sleep(for: .milliseconds(5))
    }
    await connection.close()
  }

  private func firstConnection(_ started: [String], _ deadline: ContinuousClock.Instant)
    async throws -> HeadConnection
  {
    while true {
      do {
        return try await HeadConnection.open(
          state: state, ticket: nil, within: .milliseconds(500))
      } catch {
        try check(started, deadline)
      }
    }
  }

  private func notRunning() -> IorunError {
    IorunError(.notRunning, "no network runs in \(state.path)", remedy: "Start one with `iorun up`")
  }

  private func check(_ started: [String], _ deadline: ContinuousClock.Instant) throws {
    for name in started where ProcessRecord.load(name, in: state.run)?.isRunning != true {
      throw failure("\(name) ended at once", name)
    }
    guard ContinuousClock.now < deadline else {
      throw failure("the network did not become ready within 20 s", started.last ?? "head")
    }
  }

  private func failure(_ what: String, _ name: String) -> IorunError {
    let log = state.logs + "/\(name).log"
    let text = FileManager.default.contents(atPath: log).map {
      String(decoding: $0.suffix(2000), as: UTF8.self)
    }
    var error = IorunError(.spawnFailed, what, remedy: "Look into \(log)")
    error.cause = text?.split(separator: "\n").suffix(3).joined(separator: " / ")
    return error
  }
}
