internal import Foundation
internal import IorunCore
internal import IorunWire

extension Cluster {
  /// Takes part in a runtime job. In the program that a person starts, `driver` runs, and the job ends
  /// with it; in the workers, which the nodes start from the same program, the call serves tasks and
  /// actors and does not return. Errors of the types in `errors` arrive in other processes as
  /// themselves, all others as an `IorunError` that tells of them.
  ///
  /// - Throws: `notRunning` where this machine runs no network; what `driver` throws.
  public static func run(
    tasks: [any RemoteTask.Type] = [], streams: [any StreamingTask.Type] = [],
    actors: [any SpawnableActor.Type] = [], errors: [any (Error & Codable & Sendable).Type] = [],
    namespace: String = "", name: String? = nil,
    driver: @escaping @Sendable (Cluster) async throws -> Void
  ) async throws {
    let tasks =
      tasks.map { TaskRegistration.task($0) } + streams.map { TaskRegistration.stream($0) }
    let actors = actors.map { ActorRegistration.actor($0) }
    let environment = ProcessInfo.processInfo.environment
    if environment["IORUN_ROLE"] == "worker" {
      try await serve(tasks, actors, errors, environment)
      return
    }
    let process = try ClusterProcess(
      worker: .random(), role: "driver", tasks: tasks, actors: actors)
    for type in errors { process.errors.register(type) }
    let arguments = CommandLine.arguments
    try await process.connect(
      to: try HubFinder.find(environment),
      hello: ClusterProcess.Hello(
        role: "driver", worker: process.worker, job: environment["IORUN_JOB_ID"],
        token: environment["IORUN_TOKEN"], namespace: namespace,
        name: name ?? (arguments.first as NSString?)?.lastPathComponent,
        launcher: RuntimeJob.Launcher(
          argv: [try executablePath()], environment: forWorkers(environment),
          cwd: FileManager.default.currentDirectoryPath, kind: .program)))
    adopt(process)
    defer {
      adopt(nil)
      process.bye()
    }
    // The body runs on the threads that read the sockets: an answer resumes it without a wake-up.
    let body = Task(executorPreference: process.executor) { try await driver(process.cluster) }
    try await withTaskCancellationHandler {
      try await body.value
    } onCancel: {
      body.cancel()
    }
  }

  private static func serve(
    _ tasks: [TaskRegistration], _ actors: [ActorRegistration],
    _ errors: [any (Error & Codable & Sendable).Type], _ environment: [String: String]
  ) async throws {
    guard let worker = environment["IORUN_WORKER"].flatMap({ WorkerID($0) }),
      let path = environment["IORUN_HUB"]
    else {
      throw IorunError(
        .internalFault, "a worker was started without IORUN_WORKER or IORUN_HUB",
        remedy: "Start the program without IORUN_ROLE")
    }
    try RuntimeEnvironment.apply(environment)
    let process = try ClusterProcess(worker: worker, role: "worker", tasks: tasks, actors: actors)
    for type in errors { process.errors.register(type) }
    adopt(process)
    try await process.connect(
      to: path, folder: environment["IORUN_DIRECTORY"],
      hello: ClusterProcess.Hello(
        role: "worker", worker: worker, job: environment["IORUN_JOB_ID"],
        token: environment["IORUN_TOKEN"]))
    try await withUnsafeThrowingContinuation { process.stopped.wait($0) }
  }

  private static func executablePath() throws -> String {
    do {
      return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    } catch {
      throw IorunError(.fileSystem, "cannot tell where this program lies", cause: error)
    }
  }

  private static func forWorkers(_ environment: [String: String]) -> [String: String] {
    environment.filter { !$0.key.hasPrefix("IORUN_") }
  }
}
