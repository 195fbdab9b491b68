internal import ArgumentParser
internal import IorunClient
internal import IorunContract
internal import IorunCore

/// `iorun pow status`: what the nodes have proved.
struct PoWStatusCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status", abstract: "Show what the network's nodes have proved.",
    discussion: """
      Marks come from the records of proofs and from nothing else. HASHES and LANES are what was \
      measured last, and what that is of the claim; MEMORY is how much was walked over last, and \
      what that is of what the node offers.
      """)

  @OptionGroup var client: ClientOptions

  func run() async throws {
    let status = try await client.withHead { try await $0.proofs.status() }
    Output.write(
      client.json
        ? try JSONOutput.line(ProofStatusView(status))
        : ProofRendering.summary(status)
          + (status.devices.isEmpty
            ? "" : ProofRendering.table(status.devices, now: Output.now).render(Output.style)))
  }
}

/// `iorun pow history`: what is on record of a device.
struct PoWHistoryCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "history",
    abstract: "List what a node was, became and why, and the verdicts on its proofs.")

  @Argument(help: "The node's name or id, or the start of its device's key.")
  var device: String

  @Option(help: "At most so many entries of each kind, 1 to 1000.")
  var limit = 20

  @OptionGroup var client: ClientOptions

  func validate() throws {
    guard (1...1000).contains(limit) else {
      throw ValidationError("--limit takes a number from 1 to 1000")
    }
  }

  func run() async throws {
    let history = try await client.withHead {
      try await $0.proofs.history(device, limit: limit)
    }
    if client.json { return Output.write(try JSONOutput.line(DeviceHistoryView(history))) }
    Output.write(
      ProofRendering.table(history.transitions).render(Output.style) + "\n"
        + ProofRendering.table(history.verdicts).render(Output.style))
  }
}

/// `iorun pow explain`: why a device has its mark.
struct PoWExplainCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "explain", abstract: "Say why a node has its mark, with the numbers.")

  @Argument(help: "The node's name or id, or the start of its device's key.")
  var device: String

  @OptionGroup var client: ClientOptions

  func run() async throws {
    let history = try await client.withHead { try await $0.proofs.history(device, limit: 20) }
    Output.write(
      client.json
        ? try JSONOutput.line(DeviceHistoryView(history))
        : ProofRendering.explanation(history, now: Output.now))
  }
}
