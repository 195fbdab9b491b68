internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun offers`: the ways in which a job could run now.
struct Offers: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Show ways to run a job that differ in price, round trips and reliability.",
    usage: """
      iorun offers SPEC.yaml [options]
      iorun offers [options] -- COMMAND [ARGUMENT ...]
      """,
    discussion: """
      The first offer is where the job would be placed now; the others are by price, and each is
      better than every other one in something. Nothing is reserved and nothing runs.
      Exit status: 2 when no set of nodes can run the job now.
      """)

  @OptionGroup var client: ClientOptions
  @OptionGroup var flags: JobFlags

  @Argument(help: "The job's spec (YAML).", completion: .file(extensions: ["yaml", "yml"]))
  var spec: String?

  @Argument(parsing: .postTerminator, help: "The command that every rank would run.")
  var command: [String] = []

  func run() async throws {
    guard (spec != nil) != !command.isEmpty else {
      throw IorunError(
        .specInvalid, spec == nil ? "nothing to run is named" : "a spec and a command are named",
        remedy: "Give either a SPEC.yaml or a command after --")
    }
    let source = JobSource(spec: spec, swiftProduct: nil, command: command)
    let job = try await source.submission(flags).spec
    let (offers, plan) = try await client.withHead { head in
      let offers = try await head.placer.offers(job)
      return (offers, offers.isEmpty ? try await head.placer.plan(job) : nil)
    }
    if client.json {
      Output.write(try JSONOutput.line(OffersView(offers)))
    } else if !offers.isEmpty {
      Output.write(PlacementRendering.table(offers).render(Output.style))
    }
    guard offers.isEmpty else { return }
    let reason = plan?.refusal ?? "the nodes changed while they were looked at; try again"
    if !client.json { Output.writeError("no offers: \(reason)\n") }
    throw ExitCode(IorunClient.ExitStatus.noPlacement.rawValue)
  }
}
