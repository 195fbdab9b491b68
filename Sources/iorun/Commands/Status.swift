internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun status`: the network and its jobs, or one job.
struct Status: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show the network and its jobs, or one job in full.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "A job: its id, the start of its id, or its name.")
  var job: String?

  @Option(help: "How many jobs to list, the newest first.")
  var limit = 20

  func run() async throws {
    try await client.withHead { head in
      if let job {
        let status = try await head.job(job)
        Output.write(
          client.json
            ? try JSONOutput.line(JobView(status))
            : JobRendering.details(status, now: Output.now, style: Output.style))
        return
      }
      let network = try await head.network.status()
      let jobs = try await head.jobs.jobs(limit: limit)
      let paths = try await head.rendezvous.paths()
      let programs = try RuntimeItems(.jobs, try await head.runtime.list(.jobs, limit: limit))
      if client.json {
        Output.write(
          try JSONOutput.line(
            View(
              network: NetworkView(network), jobs: jobs.map(JobView.init),
              runtimeJobs: programs.identifiers, paths: paths.map(NodePathsView.init))))
        return
      }
      Output.write(StatusRendering.text(network, now: Output.now))
      if !jobs.isEmpty {
        Output.write("\n" + JobRendering.table(jobs, now: Output.now).render(Output.style))
      }
      if !programs.identifiers.isEmpty {
        Output.write("\nprograms:\n" + programs.table(Output.style, now: Output.now))
      }
      if paths.contains(where: { !$0.paths.isEmpty }) {
        let names = try await head.network.nodes().map { ($0.id, $0.facts.name) }
        let ways = PathRendering.text(
          paths, names: Dictionary(names, uniquingKeysWith: { $1 }))
        Output.write("\npaths:\n" + ways)
      }
    }
  }

  private struct View: Encodable {
    var network: NetworkView
    var jobs: [JobView]
    /// Ids; `iorun list jobs --json` tells more.
    var runtimeJobs: [String]
    var paths: [NodePathsView]
  }
}
