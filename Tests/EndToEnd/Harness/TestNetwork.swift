import Foundation
import Testing

/// A folder of its own under `/tmp`, whose path is short enough for Unix sockets, and everything that
/// runs on it: removed and stopped when the test ends, however it ends.
final class TestNetwork: Sendable {
  /// The scratch folder. State folders lie in it.
  let root: String

  private init() throws {
    var template = Array("/tmp/ie-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else { throw CocoaError(.fileWriteUnknown) }
    root = String(cString: made)
    try FileManager.default.createDirectory(
      atPath: root + "/commands", withIntermediateDirectories: true)
  }

  /// The state folder of the test's own network.
  var state: String { root + "/s" }

  /// Runs a test in a fresh folder, with a network of `nodes` nodes unless that is 0.
  static func with(
    nodes: Int, cpus: Double = 8, _ body: (TestNetwork) async throws -> Void
  ) async throws {
    let network = try TestNetwork()
    let result: Result<Void, any Error>
    do {
      if nodes > 0 {
        let up = try await network.iorun("up", "--nodes", "\(nodes)", "--cpus", "\(cpus)")
        try #require(up.status == 0, "\(up)")
      }
      try await body(network)
      result = .success(())
    } catch {
      result = .failure(error)
      network.keepLogs()
    }
    await network.clear()
    try result.get()
  }

  /// Starts iorun on the test's state folder, or another.
  func start(
    _ arguments: [String], state: String? = nil, environment: [String: String] = [:],
    input: String? = nil, directory: String? = nil
  ) throws -> RunningCommand {
    try RunningCommand(
      Binaries.iorun, arguments, scratch: root + "/commands",
      environment: ["IORUN_STATE_DIR": state ?? self.state].merging(environment) { $1 },
      input: input, directory: directory ?? root)
  }

  /// Runs iorun to its end.
  func iorun(
    _ arguments: String..., state: String? = nil, environment: [String: String] = [:],
    input: String? = nil, directory: String? = nil, within limit: Duration = .seconds(40)
  ) async throws -> CommandResult {
    try await start(
      arguments, state: state, environment: environment, input: input, directory: directory
    ).finish(within: limit)
  }

  /// Runs another program to its end.
  func run(
    _ program: String, _ arguments: String..., within limit: Duration = .seconds(20)
  ) async throws -> CommandResult {
    try await RunningCommand(
      "/usr/bin/env", [program] + arguments, scratch: root + "/commands"
    ).finish(within: limit)
  }

  /// Writes a file below the scratch folder and returns its path.
  @discardableResult
  func write(_ text: String, to path: String) throws -> String {
    try write(Data(text.utf8), to: path)
  }

  /// Writes a file below the scratch folder and returns its path.
  @discardableResult
  func write(_ bytes: Data, to path: String) throws -> String {
    let url = URL(fileURLWithPath: root + "/" + path)
    try FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try bytes.write(to: url)
    return url.path
  }

  /// Writes the spec of a training by two ranks of a core each, and returns its path.
  func writeDigitsJob(epochs: Int) throws -> String {
    try write(
      """
      name: train-digits
      swift: {target: train-digits, arguments: [--epochs, "\(epochs)"]}
      working_dir: \(Binaries.digits)
      gang:
        ranks: 2
        resources: {cpus: 1, memory: 128MiB}
      outputs: [metrics.json]
      timeout: 90s
      """, to: "job.yaml")
  }

  /// The text of a file, empty where it is missing.
  func read(_ path: String) -> String {
    ProcessScan.text(path.hasPrefix("/") ? path : root + "/" + path)
  }

  /// The process id of `head` or `node-N` of a network that `iorun up` started.
  func pid(of name: String, state: String? = nil) throws -> Int32 {
    let path = (state ?? self.state) + "/run/\(name).json"
    let data = try Data(contentsOf: URL(fileURLWithPath: path))
    let record = try JSONSerialization.jsonObject(with: data) as? [String: Any]
    return try #require((record?["pid"] as? NSNumber)?.int32Value)
  }

  /// A job as `iorun status JOB --json` shows it.
  func job(_ id: String, state: String? = nil) async throws -> [String: Any] {
    let result = try await iorun("status", id, "--json", state: state)
    try #require(result.status == 0, "\(result)")
    return try result.json()
  }

  /// Waits until a job is in one of `states` and returns it.
  func job(_ id: String, reaches states: String..., within limit: Duration = .seconds(40))
    async throws -> [String: Any]
  {
    var last: [String: Any] = [:]
    try await eventually("\(id) is \(states)", within: limit) {
      last = try await self.job(id)
      return states.contains(last["state"] as? String ?? "")
    } detail: {
      "\(last)"
    }
    return last
  }

  /// Submits with `--detach` and returns the job's id.
  func detach(_ arguments: String..., state: String? = nil) async throws -> String {
    try await detach(arguments, state: state)
  }

  /// The same with its arguments in a list.
  func detach(_ arguments: [String], state: String? = nil) async throws -> String {
    let running = try start(["submit", "--detach", "--json"] + arguments, state: state)
    let result = try await running.finish()
    try #require(result.status == 0, "\(result)")
    return try #require(try result.json()["id"] as? String)
  }

  /// The state of each node by its name.
  func nodeStates(state: String? = nil) async throws -> [String: String] {
    let result = try await iorun("nodes", "--json", state: state)
    try #require(result.status == 0, "\(result)")
    let nodes = try result.json()["nodes"] as? [[String: Any]] ?? []
    return Dictionary(
      nodes.map { ($0["name"] as? String ?? "", $0["state"] as? String ?? "") }
    ) { $1 }
  }

  /// After a failure the processes' own words are what explains it.
  private func keepLogs() {
    let logs = state + "/log"
    for name in (try? FileManager.default.contentsOfDirectory(atPath: logs)) ?? [] {
      print("== \(name)\n\(read(logs + "/" + name).suffix(3000))")
    }
  }

  /// Ends every process that was started on this folder, and removes it.
  private func clear() async {
    // Twice: what a killed process was about to start may appear after the first scan. A process
    // that a rank started has the folder in its environment.
    for _ in 0..<2 {
      ProcessScan.killAll(root)
      try? await eventually("all end", within: .seconds(5)) { ProcessScan.all(root).isEmpty }
    }
    // A killed node leaves its scratch to the next agent, which a test may not have come to.
    let mounts = ProcessScan.text("/proc/self/mountinfo").split(separator: "\n").compactMap {
      $0.split(separator: " ").dropFirst(4).first.map(String.init)
    }
    for mount in mounts.reversed() where mount.hasPrefix(root + "/") {
      umount2(mount, Int32(MNT_DETACH))
    }
    try? FileManager.default.removeItem(atPath: root)
  }
}

/// Every test here runs real processes; one at a time, so that two cores are enough.
@Suite(.serialized)
enum RealProcesses {}
