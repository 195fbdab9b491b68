import ArgumentParser
import Foundation
import IorunRuntime

/// `iorun-runtime-bench scale`: many actors in one process, and many queued tasks.
struct Scale: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "scale", abstract: "Counts what many actors and many queued tasks cost.")

  @Option(help: "How many actors.") var actors = 10_000
  @Option(help: "How many tasks.") var tasks = 1_000_000

  func run() async throws {
    let (actorCount, taskCount) = (actors, tasks)
    try await RuntimeBench.serve { cluster in
      let first = try await cluster.spawn(Answerer.self, 0)
      let host = try await first.processID()
      let before = Self.resident(host)
      let own = Self.resident(Int(getpid()))
      var start = ContinuousClock.now
      var made: [Answerer] = []
      for _ in 0..<actorCount { made.append(try await cluster.spawn(Answerer.self, 0)) }
      _ = try await made.last?.smallValue()
      var seconds = start.duration(to: .now) / .seconds(1)
      print(
        "\(actorCount) actors: \(Int(Double(actorCount) / seconds)) a second,",
        "\(Self.resident(host) - before) KiB more in their process,",
        "\(Self.resident(Int(getpid())) - own) KiB more in the driver")
      made = []
      let base = Self.resident(Int(getpid()))
      start = .now
      var refs: [ObjectRef<String>] = []
      refs.reserveCapacity(taskCount)
      for _ in 0..<taskCount { refs.append(try await cluster.submit(SmallValue())) }
      let queued = Self.resident(Int(getpid())) - base
      _ = try await cluster.get(refs)
      seconds = start.duration(to: .now) / .seconds(1)
      print(
        "\(taskCount) tasks: \(String(format: "%.1f", seconds)) s,",
        "\(queued * 1024 / max(1, taskCount)) bytes each while queued")
    }
  }

  /// KiB of a process that are in memory.
  private static func resident(_ process: Int) -> Int {
    guard let text = try? String(contentsOfFile: "/proc/\(process)/statm", encoding: .utf8),
      let pages = text.split(separator: " ").dropFirst().first.flatMap({ Int($0) })
    else { return 0 }
    return pages * 4
  }
}
