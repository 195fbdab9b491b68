internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun cancel`: ends a job.
struct Cancel: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "End a job and all its processes.")

  @OptionGroup var client: ClientOptions

  @Argument(help: "A job: its id, the start of its id, or its name.")
  var job: String

  @Flag(name: .customLong("no-wait"), help: "Do not wait until the last process is gone.")
  var doesNotWait = false

  func run() async throws {
    try await client.withHead { head in
      var status = try await head.jobs.cancel(try await head.job(job).id)
      let deadline = ContinuousClock.now + .seconds(60)
      while !doesNotWait, !status.state.isTerminal {
        guard ContinuousClock.now < deadline else {
          throw IorunError(
            .timedOut, "\(status.id) has not ended within a minute of its cancellation",
            remedy: "Look at `iorun status \(status.id)`: a node may be out of reach")
        }
        status = try await head.jobs.watch(
          status.id, after: status.revision, waitMilliseconds: 5000)
      }
      Output.write(
        client.json
          ? try JSONOutput.line(JobView(status)) : JobRendering.changeLine(status) + "\n")
    }
  }
}
