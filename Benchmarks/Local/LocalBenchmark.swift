internal import Foundation
internal import IorunCore

/// Runs the `iorun` beside this binary as a person would, in a state folder of its own.
struct LocalBenchmark {
  static let nodes = 3
  static let submissions = 10
  static let idleSeconds = 10.0

  private let options: BenchOptions
  private let program: String

  /// - Throws: `fileMissing` where no `iorun` is beside this binary.
  init(_ options: BenchOptions) throws {
    self.options = options
    program =
      URL(fileURLWithPath: Machine.executable).deletingLastPathComponent()
      .appendingPathComponent("iorun").path
    guard FileManager.default.isExecutableFile(atPath: program) else {
      throw IorunError(
        .fileMissing, "there is no iorun beside this binary at \(program)",
        remedy: "Build it: swift build -c release --static-swift-stdlib --product iorun")
    }
  }

  func run() async throws -> LocalResult {
    var result = LocalResult(nodes: Self.nodes, idleSeconds: Self.idleSeconds)
    for round in 1...options.rounds {
      let folder = try TemporaryFolder()
      defer { folder.remove() }
      Progress.show("round \(round) of \(options.rounds): a network of \(Self.nodes) nodes")
      try await measure(in: folder.path, isLast: round == options.rounds, &result)
    }
    Progress.clear()
    return result
  }

  /// One network's life; all but start and end only with the last one.
  private func measure(in folder: String, isLast: Bool, _ result: inout LocalResult) async throws {
    struct Started: Decodable { var ready_milliseconds: Double }
    let up = try run(["up", "--nodes", "\(Self.nodes)"], folder)
    let failure: (any Error)?
    do {
      let started = try JSONDecoder().decode(Started.self, from: up.output)
      result.readyMilliseconds.append(started.ready_milliseconds)
      result.upMilliseconds.append(up.milliseconds)
      if isLast { try await use(folder, &result) }
      failure = nil
    } catch {
      failure = error
    }
    // Whatever went wrong: nothing of it stays.
    let down = try run(["down"], folder)
    if let failure { throw failure }
    result.downMilliseconds.append(down.milliseconds)
  }

  private func use(_ folder: String, _ result: inout LocalResult) async throws {
    for number in 1...Self.submissions {
      Progress.show("job \(number) of \(Self.submissions)")
      result.submitMilliseconds.append(
        try run(["submit"], folder, command: ["true"]).milliseconds)
    }
    Progress.show("\(Int(Self.idleSeconds)) s of doing nothing")
    let head = try ProcessUsage(named: "head", in: folder)
    let node = try ProcessUsage(named: "node-1", in: folder)
    try await Task.sleep(for: .seconds(Self.idleSeconds))
    result.idleHead = try head.idle()
    result.idleNode = try node.idle()
  }

  private func run(_ arguments: [String], _ folder: String, command: [String] = []) throws -> (
    output: Data, milliseconds: Double
  ) {
    let begun = Meter.now()
    // A network that stopped answering must end the benchmark, not hold it up.
    let child = try Child(
      "/usr/bin/env",
      ["timeout", "60", program] + arguments + ["--json", "--state-dir", folder]
        + (command.isEmpty ? [] : ["--"] + command))
    let output = try child.readToEnd()
    return (output, Double(Meter.now() - begun) * 1e-6)
  }
}
