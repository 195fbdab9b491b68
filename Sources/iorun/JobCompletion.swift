internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// What a shell offers where a job is to be named.
enum JobCompletion {
  /// Jobs that run.
  static let running = CompletionKind.custom { @Sendable _, _, prefix in
    await names(prefix: prefix, suffix: "")
  }

  /// Files, and running jobs with the `:` before a path.
  static let places = CompletionKind.custom { @Sendable _, _, prefix in
    await names(prefix: prefix, suffix: ":") + files(prefix)
  }

  private static func names(prefix: String, suffix: String) async -> [String] {
    // A shell waits for it: no network, no names.
    guard
      let head = try? await HeadConnection.open(
        state: StateFolder(nil),
        ticket: ProcessInfo.processInfo.environment["IORUN_HEAD_TICKET"], within: .seconds(1))
    else { return [] }
    let jobs = (try? await head.jobs.jobs(limit: 200)) ?? []
    await head.close()
    return jobs.filter { $0.state == .running && $0.id.description.hasPrefix(prefix) }
      .map { $0.id.description + suffix }
  }

  private static func files(_ prefix: String) -> [String] {
    let slash = prefix.lastIndex(of: "/")
    let folder = slash.map { String(prefix[...$0]) } ?? ""
    let names =
      (try? FileManager.default.contentsOfDirectory(atPath: folder.isEmpty ? "." : folder)) ?? []
    return names.map { folder + $0 }.filter { $0.hasPrefix(prefix) }.sorted()
  }
}
