import Foundation
import Glibc

@testable import IorunWorker

/// What tests need to start real ranks.
enum RealProcesses {
  /// The program that only supervises; it stands beside the test bundle.
  static let supervisor: String = {
    let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
    return (own as NSString).deletingLastPathComponent + "/iorun-supervise-test"
  }()

  static func launch(_ command: [String], in folder: TemporaryFolder) -> RankProcess.Launch {
    RankProcess.Launch(
      supervisor: supervisor, command: command,
      environment: ["PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": folder.path],
      folder: folder.path)
  }

  /// Runs a shell script to its end; gives how it ended and what it printed.
  static func run(_ script: String, in folder: TemporaryFolder) async throws
    -> (RankProcess.End, String)
  {
    try await run(["/bin/sh", "-c", script], in: folder)
  }

  static func run(_ command: [String], in folder: TemporaryFolder) async throws
    -> (RankProcess.End, String)
  {
    let log = try RankLog(file: folder.path + "/log")
    let process = try RankProcess.start(launch(command, in: folder), log: log)
    let end = await process.end()
    return (end, String(decoding: try log.read(from: 0, atMost: 1 << 20), as: UTF8.self))
  }

  /// True while a process exists and is no zombie.
  static func isAlive(_ pid: pid_t) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
      let tail = stat.split(separator: ")").last
    else { return false }
    return !tail.hasPrefix(" Z") && !tail.hasPrefix(" X")
  }

  /// The processes whose present folder is below `folder`, also where that was removed.
  static func running(below folder: String) -> [pid_t] {
    let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return all.compactMap { pid_t($0) }.filter { pid in
      let cwd = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(pid)/cwd")
      return cwd?.hasPrefix(folder) == true
    }
  }

  /// The process id that a script writes into a file, once it has.
  static func pid(in name: String, of folder: TemporaryFolder) async throws -> pid_t {
    try await eventually("a process id in \(name)") {
      guard let text = folder.read(name), text.hasSuffix("\n") else { return nil }
      return pid_t(text.dropLast())
    }
  }

  /// A script that leaves a process which is in a session of its own, was forked twice, ignores
  /// SIGTERM, and writes its id into `grandchild`.
  static let escape = """
    (setsid sh -c 'trap "" TERM; echo $$ > grandchild; while :; do sleep 1; done' &)
    while [ ! -s grandchild ]; do sleep 0.01; done
    """
}
