import Foundation
import IorunCore
import IorunWire

/// Starts the processes of runtime jobs on this node: zygotes, which fork workers, and worker programs.
/// Each lives below a supervisor of its own, so that it, and whatever it starts, dies with the agent.
struct RuntimeLauncher: Sendable {
  /// What a process is told of its place.
  struct Place: Sendable {
    /// The hub's socket.
    var hub: String
    /// What admits the process to its job.
    var token: String
    /// Its worker id; `nil` for a zygote.
    var worker: WorkerID?
    /// The hash of its runtime environment; empty for the plain one.
    var environment: String
    /// The environment, as the text of a JSON document.
    var runtimeEnv: String
    /// Further variables, such as the devices of a lease.
    var variables: [String: String] = [:]
  }

  /// The program that supervises: iorun itself.
  var supervisor: String
  /// Where programs are looked up, where the job does not say otherwise.
  var searchPath: String
  /// The most of a process's own output that is kept.
  var logLimit: Bytes

  /// Starts a zygote, or a worker program, in a sandbox where `tree` is one. What it prints goes to the
  /// file `log`.
  ///
  /// - Throws: `spawnFailed`, `specInvalid`, `fileSystem`.
  func start(
    _ job: RuntimeJob, at place: Place, log file: String, in tree: SealedTree? = nil
  ) async throws -> (process: RankProcess, log: RankLog) {
    var launch = RankProcess.Launch(
      supervisor: supervisor, command: [], environment: environment(job, at: place), folder: "/")
    if let tree {
      launch.command = command(job.launcher, in: tree)
      launch.environment = environment(launch.environment, in: tree)
      launch.folder = RankSeal.folder
      launch.seal = tree.seal
      launch.shared = [tree.arena.descriptor]
    } else {
      launch.command = command(job.launcher)
      launch.folder = folder(job.launcher)
    }
    let cap = RankLog.Cap(size: logLimit, setting: "the node")
    return try await Blocking.run { [launch] in
      let log = try RankLog(file: file, cap: cap)
      // The arena is open until it is inherited.
      return try withExtendedLifetime(tree) { (try RankProcess.start(launch, log: log), log) }
    }
  }

  /// The driver's own interpreter where the sandbox shows it.
  private func command(_ launcher: RuntimeJob.Launcher, in tree: SealedTree) -> [String] {
    guard let program = launcher.argv.first else { return [] }
    let rest = Array(launcher.argv.dropFirst())
    if let inside = tree.program { return [inside] + rest }
    let isThere = tree.shown.shows(program) && access(program, X_OK) == 0
    // What follows is the driver's to say, and runs in its own sandbox.
    return isThere ? launcher.argv : ["python3"] + rest
  }

  /// What says where things are is the sandbox's.
  private func environment(
    _ variables: [String: String], in tree: SealedTree
  ) -> [String: String] {
    var variables = variables
    variables["PATH"] = tree.shown.searchPath
    variables["HOME"] = RankSeal.folder
    variables["TMPDIR"] = "/tmp"
    for name in ["XDG_RUNTIME_DIR", "XDG_CACHE_HOME", "USER", "LOGNAME"] { variables[name] = nil }
    if let packages = tree.shown.packages {
      let theirs = variables["PYTHONPATH", default: ""].split(separator: ":").map(String.init)
      variables["PYTHONPATH"] = ([packages] + theirs).joined(separator: ":")
    }
    if let folder = tree.folder { variables["IORUN_FOLDER"] = folder }
    return variables
  }

  /// The driver's own interpreter where this node has it; another machine's path may mean nothing here.
  private func command(_ launcher: RuntimeJob.Launcher) -> [String] {
    guard let program = launcher.argv.first else { return [] }
    if !program.hasPrefix("/") || access(program, X_OK) == 0 { return launcher.argv }
    switch launcher.kind {
    case .zygote: return ["python3", "-m", "iorun._zygote"]
    // It was to be fetched before: the start says what is missing.
    case .program: return launcher.argv
    }
  }

  /// True where a job's workers are a program that is not on this machine.
  static func lacksProgram(_ job: RuntimeJob) -> Bool {
    guard job.launcher.kind == .program, let program = job.launcher.argv.first else { return false }
    return access(program, X_OK) != 0
  }

  private func folder(_ launcher: RuntimeJob.Launcher) -> String {
    var isFolder: ObjCBool = false
    let isThere =
      launcher.cwd.hasPrefix("/")
      && FileManager.default.fileExists(atPath: launcher.cwd, isDirectory: &isFolder)
    return isThere && isFolder.boolValue && access(launcher.cwd, X_OK) == 0 ? launcher.cwd : "/"
  }

  private func environment(_ job: RuntimeJob, at place: Place) -> [String: String] {
    var variables = [
      "PATH": searchPath, "HOME": NSHomeDirectory(), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1",
    ]
    variables.merge(job.launcher.environment) { _, theirs in theirs }
    variables.merge(place.variables) { _, ours in ours }
    // What says where it belongs is ours alone.
    for name in variables.keys where name.hasPrefix("IORUN_") && place.variables[name] == nil {
      variables[name] = nil
    }
    variables["IORUN_HUB"] = place.hub
    variables["IORUN_JOB_ID"] = job.job.description
    variables["IORUN_TOKEN"] = place.token
    variables["IORUN_ENVIRONMENT_HASH"] = place.environment
    variables["IORUN_ENVIRONMENT"] = place.runtimeEnv
    variables["IORUN_ROLE"] = place.worker == nil ? "zygote" : "worker"
    if let worker = place.worker { variables["IORUN_WORKER"] = worker.description }
    return variables
  }
}
