internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContent
internal import IorunContract
internal import IorunCore

/// `iorun outputs`: what a job left behind.
struct Outputs: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "List what a job left behind, or fetch it with --to.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "A job: its id, the start of its id, or its name.")
  var job: String

  @Option(
    name: .customLong("to"), help: "Fetch the files into this folder.", completion: .directory)
  var folder: String?

  @Option(help: "Only this rank's files.")
  var rank: Int?

  func run() async throws {
    try await client.withHead { head in
      let status = try await head.job(job)
      let outputs = try await head.outputs(of: status.id, rank: rank)
      if let folder { try await fetch(outputs, into: folder, from: head) }
      if client.json {
        Output.write(
          try JSONOutput.line(OutputsView(job: status.id, outputs: outputs, folder: folder)))
      } else if let folder {
        Output.write("\(outputs.count) file\(outputs.count == 1 ? "" : "s") in \(folder)\n")
      } else {
        Output.write(OutputRendering.table(outputs).render(Output.style))
      }
    }
  }

  /// One rank's files go straight into the folder; those of several into `rank-N` below it.
  private func fetch(_ outputs: [OutputFile], into folder: String, from head: HeadConnection)
    async throws
  {
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch {
      throw IorunError(
        .fileSystem, "cannot make the folder \(folder)", remedy: "Choose another with --to",
        cause: error)
    }
    let byRank = Dictionary(grouping: outputs, by: \.rank)
    let downloader = ContentDownloader(from: head.content)
    for (rank, files) in byRank.sorted(by: { $0.key < $1.key }) {
      // In order already: a list that is not was refused.
      let entries = files.map { file in
        Manifest.Entry(
          path: file.path, kind: .file(content: file.content, executable: file.executable))
      }
      let place = byRank.count == 1 ? folder : "\(folder)/rank-\(rank)"
      try await downloader.download(Manifest(entries: entries), into: place)
    }
  }
}
