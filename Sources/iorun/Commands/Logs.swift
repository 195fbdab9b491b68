internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore
internal import Synchronization

/// `iorun logs`: what a job's ranks print, from its start.
struct Logs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show what a job's ranks printed, of every attempt.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "A job: its id, the start of its id, or its name.")
  var job: String

  @Flag(name: [.short, .long], help: "Go on until the job is over.")
  var follow = false

  @Option(help: "Only this rank.")
  var rank: Int?

  func run() async throws {
    try await client.withHead { head in
      let status = try await head.job(job)
      if let rank, !(0..<status.spec.gang.ranks).contains(rank) {
        throw IorunError(
          .notFound, "\(status.id) has no rank \(rank)",
          remedy: "Its ranks are 0 to \(status.spec.gang.ranks - 1)")
      }
      let printer = LogWriter(
        isJSON: client.json, showsRanks: rank == nil && status.spec.gang.ranks > 1)
      try await JobFollower(status.id, at: head, rank: rank).logs(follows: follow) {
        printer.write($0)
      }
      printer.finish()
    }
  }
}

/// Writes log chunks to standard output as whole lines, or as one JSON object a chunk.
final class LogWriter: Sendable {
  private let isJSON: Bool
  private let printer: Mutex<LogPrinter>

  init(isJSON: Bool, showsRanks: Bool) {
    self.isJSON = isJSON
    printer = Mutex(LogPrinter(style: Output.style, showsRanks: showsRanks))
  }

  func write(_ chunks: [LogChunk]) {
    for chunk in chunks {
      if isJSON {
        let view = View(
          attempt: chunk.cursor.attempt, rank: chunk.cursor.rank, offset: chunk.cursor.offset,
          text: String(decoding: chunk.bytes, as: UTF8.self))
        // The view is made of numbers and text: it always encodes.
        Output.write((try? JSONOutput.line(view)) ?? "")
      } else {
        Output.write(printer.withLock { $0.print(chunk) })
      }
    }
  }

  func finish() {
    if !isJSON { Output.write(printer.withLock { $0.finish() }) }
  }

  private struct View: Encodable {
    var attempt: Int
    var rank: Int
    var offset: Int64
    var text: String
  }
}
