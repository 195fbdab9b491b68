internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import Synchronization

/// `iorun cp`: files into a running rank's working folder, or out of it.
struct Copy: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cp",
    abstract: "Copy files into a running rank's working folder, or out of it.",
    discussion: """
      One side is JOB:PATH or JOB:RANK:PATH, below the rank's working folder. A file goes into \
      DESTINATION where that is a folder or ends with /, else it becomes DESTINATION. What is in a \
      folder goes into DESTINATION, which is made. Modes are kept, digests are checked, and what is \
      there already is not sent again: the same command goes on after an interruption. Symbolic \
      links, devices and the like are not copied; they are named, and the exit status is 1.

        iorun cp config.yaml train:
        iorun cp data train:2:data
        iorun cp train:checkpoints checkpoints
      """)

  @OptionGroup var client: ClientOptions

  @Argument(
    help: "What to copy: PATH, JOB:PATH or JOB:RANK:PATH.", completion: JobCompletion.places)
  var source: String

  @Argument(help: "Where to: PATH, JOB:PATH or JOB:RANK:PATH.", completion: JobCompletion.places)
  var destination: String

  @Flag(name: .shortAndLong, help: "Show no progress.")
  var quiet = false

  func run() async throws {
    let (client, line) = (client, ProgressLine(isOn: !quiet && !client.json))
    let from = try CopyPlace(source)
    let to = try CopyPlace(destination)
    let (source, destination) = (source, destination)
    let started = ContinuousClock.now
    let report = try await Signals.cancelling {
      try await client.withHead { head in
        switch (from, to) {
        case (.local(let path), .rank(let reference, let target)):
          try await Self.over(reference, .copyIn(path: target), head) { stream in
            let (root, name) = try Self.existing(path)
            return try await CopySource(root: root, path: name) { line.show($0) }
              .run(over: stream)
          }
        case (.rank(let reference, let path), .local(let target)):
          try await Self.over(reference, .copyOut(path: path), head) { stream in
            let (root, name) = try Self.wished(target)
            return try await CopySink(root: root, target: name) { line.show($0) }
              .run(over: stream)
          }
        default:
          throw IorunError(
            .specInvalid, "one of '\(source)' and '\(destination)' must be in a rank, and one here",
            remedy: "Give a rank's path as JOB:PATH or JOB:RANK:PATH")
        }
      }
    }
    line.finish()
    try finish(report, ContinuousClock.now - started)
  }

  private func finish(_ report: CopyReport, _ elapsed: Duration) throws {
    if client.json {
      Output.write(
        try JSONOutput.line(
          View(
            files: report.files, folders: report.folders, bytes: report.bytes,
            resumedBytes: report.resumedBytes, refusedCount: report.refusalCount,
            refused: report.refusals, seconds: elapsed / .seconds(1))))
    } else {
      Output.writeError(CopyRendering.refusals(report))
      Output.write(CopyRendering.summary(report))
    }
    guard report.refusalCount > 0 else { return }
    // With --json the report is the one object.
    if client.json { throw ExitCode(1) }
    throw IorunError(
      .copyIncomplete, "not copied: \(report.refusalCount) of the paths, for the reasons above",
      remedy: "Mend what is named above and run the command again: what is there is not sent again")
  }

  /// Opens the stream, copies, and waits until the other side has everything.
  private static func over(
    _ reference: RankReference, _ purpose: StreamRequest.Purpose, _ head: HeadConnection,
    _ copy: (MeshStream) async throws -> CopyReport
  ) async throws -> CopyReport {
    let rank = try await RankConnection.open(reference, at: head)
    do {
      let stream = try await rank.open(purpose)
      do {
        let report = try await copy(stream)
        try await stream.drained()
        await rank.close()
        return report
      } catch {
        // The node says why; where it is this side that fails, it hears it.
        stream.reset(
          error as? IorunError ?? IorunError(.cancelled, "the copy was given up", cause: error))
        throw error
      }
    } catch {
      await rank.close()
      throw error
    }
  }

  /// A path here that is to be read: a folder to begin in, and what stands in it. Links on the way
  /// to it are the user's own.
  private static func existing(_ path: String) throws -> (root: String, name: String) {
    let url = URL(fileURLWithPath: path).resolvingSymlinksInPath()
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder) else {
      throw IorunError(.fileMissing, "there is no '\(path)'", remedy: "Check the path")
    }
    if isFolder.boolValue { return (url.path, "") }
    return (url.deletingLastPathComponent().path, url.lastPathComponent)
  }

  /// A path here that is to be written.
  private static func wished(_ path: String) throws -> (root: String, name: String) {
    let url = URL(fileURLWithPath: path)
    var isFolder: ObjCBool = false
    if FileManager.default.fileExists(atPath: url.path, isDirectory: &isFolder), isFolder.boolValue
    {
      return (url.path, "")
    }
    let parent = url.deletingLastPathComponent().path
    guard FileManager.default.fileExists(atPath: parent) else {
      throw IorunError(.fileMissing, "there is no folder '\(parent)'", remedy: "Make it first")
    }
    return (parent, url.lastPathComponent + (path.hasSuffix("/") ? "/" : ""))
  }

  private struct View: Encodable {
    var files: Int
    var folders: Int
    var bytes: UInt64
    var resumedBytes: UInt64
    var refusedCount: Int
    var refused: [CopyReport.Refusal]
    var seconds: Double
  }
}

/// How far a copy is, on standard error.
private final class ProgressLine: Sendable {
  private struct State {
    var line = LiveLine(style: Output.errorStyle)
    var next = ContinuousClock.now + .milliseconds(300)
  }

  private let isOn: Bool
  private let state = Mutex(State())

  init(isOn: Bool) { self.isOn = isOn && Output.errorStyle.isTerminal }

  func show(_ progress: CopyProgress) {
    guard isOn else { return }
    let text = state.withLock { state -> String in
      let now = ContinuousClock.now
      guard now >= state.next else { return "" }
      state.next = now + .milliseconds(100)
      return state.line.show(CopyRendering.line(progress))
    }
    Output.writeError(text)
  }

  func finish() { Output.writeError(state.withLock { $0.line.finish(keeping: false) }) }
}
