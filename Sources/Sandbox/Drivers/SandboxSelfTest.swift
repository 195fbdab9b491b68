internal import CShim
internal import Foundation
internal import IorunCore

/// What a canary found in a sandbox of one driver: published as a capability of the node, so that
/// strangers' work is placed only where it is kept apart.
public struct SandboxReport: Sendable, Hashable {
  /// The driver.
  public var kind: SandboxKind
  /// The program behind it.
  public var program: String
  /// What does not hold, by the check's name, with the reason.
  public var faults: [String: String]
  /// What held.
  public var passed: Set<String>
  /// Limits that this host cannot enforce.
  public var missingLimits: Set<SandboxLimit>
  /// Limits that are kept, but an exit report does not tell that they were met (crun before 1.9
  /// removes its counters together with the program).
  public var uncounted: Set<SandboxLimit> = []

  /// Whether work of strangers may run there: every check held, and memory and processes are limited.
  public var isFitForStrangers: Bool {
    kind != .process && faults.isEmpty && missingLimits.isDisjoint(with: [.memory, .processes])
      && SandboxSelfTest.checks.isSubset(of: passed)
  }

  /// Describes a result.
  public init(
    kind: SandboxKind, program: String, faults: [String: String], passed: Set<String> = [],
    missingLimits: Set<SandboxLimit> = []
  ) {
    self.kind = kind
    self.program = program
    self.faults = faults
    self.passed = passed
    self.missingLimits = missingLimits
  }
}

/// Runs real canaries in a driver's sandbox: one that looks around and one that takes more memory
/// than it may.
public struct SandboxSelfTest: Sendable {
  /// The names of everything that must hold; see canary.c for what each means.
  public static let checks: Set<String> = [
    "user", "capabilities", "no-new-privileges", "seccomp", "seccomp-namespaces",
    "seccomp-sockets", "seccomp-clone3", "network", "host-files", "root-read-only", "descriptors",
    "tmp-size", "processes", "process-limit", "memory-limit", "done",
  ]

  /// A program that calls `iorun_canary` first thing in main.
  public var canary: String
  /// A folder for the canary's root and what it must not see.
  public var folder: String
  /// Folders of libraries that the canary needs; see ``HostRoot``.
  public var libraryFolders: [String]

  /// Describes a self-test.
  public init(canary: String, folder: String, libraryFolders: [String] = []) {
    self.canary = canary
    self.folder = folder
    self.libraryFolders = libraryFolders
  }

  /// Tries one driver. Never throws: what goes wrong is in the report. Takes about 0.3 s.
  public func run(_ driver: some SandboxDriver) async -> SandboxReport {
    var report = SandboxReport(kind: driver.kind, program: driver.program, faults: [:])
    do {
      try await look(driver, into: &report)
      try await takeMemory(driver, into: &report)
    } catch {
      report.faults["launch"] = String(describing: error)
    }
    return report
  }

  private func spec(_ purpose: String, _ driver: some SandboxDriver) throws -> SandboxSpec {
    let root = try HostRoot(
      at: folder + "/canary-root", program: canary, libraryFolders: libraryFolders)
    return SandboxSpec(
      name: "canary-\(driver.kind.rawValue)-\(purpose)", root: root.folder,
      command: [root.programInside, "__canary"],
      limits: SandboxLimits(
        memory: .mebi(64), processes: 32, milliCPUs: 500, temporary: .mebi(2),
        sharedMemory: .mebi(1), openFiles: 128, fileSize: .mebi(64)),
      environment: ["PATH": "/usr/bin:/bin"], binds: root.binds)
  }

  private func look(_ driver: some SandboxDriver, into report: inout SandboxReport) async throws {
    var spec = try spec("look", driver)
    let secret = folder + "/canary-secret"
    _ = try OpenFile(secret, O_CREAT | O_WRONLY, mode: 0o644)
    var port: UInt16 = 0
    let listener = iorun_local_listen("127.0.0.1", 0, &port)
    defer { if listener >= 0 { close(listener) } }
    spec.command += [
      "look", secret, "\(port)", "\(spec.limits.processes)", "\(spec.limits.temporary.rawValue)",
    ]
    let (text, end, missing) = try await capture(spec, driver)
    report.missingLimits = missing
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", maxSplits: 2).map(String.init)
      guard words.count >= 2, Self.checks.contains(words[0]) else {
        report.faults["output"] = String(line.prefix(200))
        continue
      }
      if words[1] == "ok" {
        report.passed.insert(words[0])
      } else {
        report.faults[words[0]] = words.count > 2 ? words[2] : "does not hold"
      }
    }
    if !report.passed.contains("done") {
      report.faults["done"] = "the canary ended early: \(end.cause)"
    }
    if !report.missingLimits.contains(.processes), !end.limitsHit.contains(.processes) {
      report.uncounted.insert(.processes)
    }
  }

  private func takeMemory(
    _ driver: some SandboxDriver, into report: inout SandboxReport
  ) async throws {
    // Without a limit it would take all that the machine has.
    guard !report.missingLimits.contains(.memory), report.passed.contains("done") else { return }
    var spec = try spec("memory", driver)
    spec.command.append("memory")
    let (_, end, _) = try await capture(spec, driver)
    if end.isOutOfMemory, end.cause == .signalled(signal: SIGKILL) {
      report.passed.insert("memory-limit")
    } else {
      report.faults["memory-limit"] = "it ended otherwise: \(end.cause), \(end.usage)"
    }
  }

  private func capture(
    _ spec: SandboxSpec, _ driver: some SandboxDriver
  ) async throws -> (text: String, end: SandboxExit, missing: Set<SandboxLimit>) {
    let capture = try SandboxCapture()
    let process = try await Blocking.run {
      try driver.launch(spec, streams: capture.streams)
    }
    // A canary that hangs is as bad as one that fails.
    let watchdog = Task {
      try await Task.sleep(for: .seconds(30))
      process.kill()
    }
    defer { watchdog.cancel() }
    let end = await process.wait()
    return (
      try await Blocking.run { try capture.text(limit: 16 << 10) }, end, process.missingLimits
    )
  }
}

/// Holds what a short program prints, in memory.
final class SandboxCapture: Sendable {
  private let descriptor: Int32

  init() throws {
    let nothing: [UInt8] = []
    descriptor = iorun_memory_file(nothing, 0)
    guard descriptor >= 0 else {
      throw IorunError.system("cannot hold in memory", "a canary's output", errno: -descriptor)
    }
  }

  deinit { close(descriptor) }

  var streams: SandboxStreams { SandboxStreams(output: descriptor, errors: descriptor) }

  func text(limit: Int) throws -> String {
    let copy = dup(descriptor)
    guard copy >= 0 else {
      throw IorunError.system("cannot read", "a canary's output", errno: errno)
    }
    let file = OpenFile(adopting: copy, path: "a canary's output")
    return String(decoding: try file.read(upTo: limit, at: 0), as: UTF8.self)
  }
}
