internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun submit`: hands in a job and follows it to its end.
struct Submit: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Run a job: a spec file, a Swift product, or a command after --.",
    usage: """
      iorun submit SPEC.yaml [options]
      iorun submit --swift-product NAME [options] [-- ARGUMENT ...]
      iorun submit [options] -- COMMAND [ARGUMENT ...]
      """,
    discussion: """
      Waits for the job and shows what its ranks print. Ctrl-C detaches and lets it run.
      Exit status: 0 when the job succeeded; of a COMMAND that failed its own status; 3 when the \
      job of a SPEC failed, 2 when no node can take it, 7 when it ran into its timeout.
      """)

  @OptionGroup var client: ClientOptions
  @OptionGroup var flags: JobFlags

  @Argument(help: "The job's spec (YAML).", completion: .file(extensions: ["yaml", "yml"]))
  var spec: String?

  @Option(help: "Build this executable product of the Swift package here, and run it.")
  var swiftProduct: String?

  @Argument(
    parsing: .postTerminator, help: "The command that every rank runs, or the product's arguments.")
  var command: [String] = []

  @Flag(name: [.short, .long], help: "Do not wait: print the job's id and return.")
  var detach = false

  @Flag(help: "Only show where the job would run now.")
  var plan = false

  func run() async throws {
    // Not in `validate`, which comes before an unknown option is told: its value looks like a spec.
    guard (spec != nil) != (swiftProduct != nil || !command.isEmpty) else {
      throw IorunError(
        .specInvalid,
        spec == nil ? "nothing to run is named" : "a spec and something else to run are named",
        remedy: "Give either a SPEC.yaml, a --swift-product, or a command after --")
    }
    let submission = try await submission()
    if plan { return try await showPlan(submission.spec) }
    let isJSON = client.json
    let end: (job: JobStatus, outputs: Int?)? = try await client.withHead { head in
      let view = SubmitView(isJSON: isJSON, ranks: submission.spec.gang.ranks)
      let job = try await submission.submit(to: head) { view.show($0) }
      view.accepted(job, isLast: detach)
      if detach { return nil }
      return try await Signals.onInterrupt {
        view.detached(job.id, stateOption: client.state.stateDirectory)
      } during: {
        async let _ = view.keepTime()
        let end = try await JobFollower(job.id, at: head).follow { await view.show($0) }
        view.outputEnded()
        return (end, await Self.outputCount(of: end, at: head, isJSON: isJSON))
      }
    }
    guard let end else { return }
    SubmitView.end(end.job, outputs: end.outputs, isJSON: isJSON)
    throw ExitCode(exitStatus(of: end.job))
  }

  /// How many files a job left that was to leave some; `nil` where it was not, or the head did not
  /// say: the job ended well all the same.
  private static func outputCount(
    of job: JobStatus, at head: HeadConnection, isJSON: Bool
  ) async -> Int? {
    guard !isJSON, job.state == .succeeded, !job.spec.outputs.isEmpty else { return nil }
    return try? await head.rankOutputs(of: job.id).reduce(0) { $0 + $1.list.count }
  }

  /// What scripts get: the command's own status where there is one, else what became of the job.
  private func exitStatus(of job: JobStatus) -> Int32 {
    if job.state == .succeeded { return IorunClient.ExitStatus.ok.rawValue }
    if job.ranks.contains(where: { $0.cause == .timedOut }) {
      return IorunClient.ExitStatus.timedOut.rawValue
    }
    if spec == nil, let status = job.exitStatus, status != 0 { return status }
    return IorunClient.ExitStatus.jobFailed.rawValue
  }

  private func submission() async throws -> JobSubmission {
    try await JobSource(spec: spec, swiftProduct: swiftProduct, command: command).submission(flags)
  }

  private func showPlan(_ spec: JobSpec) async throws {
    let plan = try await client.withHead { try await $0.placer.plan(spec) }
    if client.json {
      Output.write(try JSONOutput.line(PlanView(plan)))
    } else {
      Output.write(PlacementRendering.plan(plan))
      if let offers = plan.offers, !offers.isEmpty {
        Output.write("\n" + PlacementRendering.table(offers).render(Output.style))
      }
      if let refusal = plan.refusal { Output.writeError("no placement: \(refusal)\n") }
    }
    if plan.refusal != nil { throw ExitCode(IorunClient.ExitStatus.noPlacement.rawValue) }
  }
}
