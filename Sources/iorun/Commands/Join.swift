internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunMesh
internal import IorunWorker

/// `iorun join`: this machine becomes a node.
struct Join: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Offer this machine as a node, until interrupted.",
    discussion: """
      The node only dials out: no port of this machine needs to be open. After the first time it \
      knows its network, and `iorun join` without a ticket goes on.
      Keep the ticket out of `ps` with `iorun join -` (standard input), `iorun join @FILE` or \
      IORUN_TICKET.
      """)

  @OptionGroup var state: StateOptions

  @Argument(help: "The ticket, - for standard input, or @FILE.")
  var ticket: String?

  @Option(help: "The node's name (default: the host's).")
  var name: String?

  @Option(help: "The address at which other nodes reach this one's ranks.")
  var address: String?

  @OptionGroup var offering: OfferOptions

  @OptionGroup var owner: OwnerOptions

  func run() async throws {
    let folder = state.folder.node
    try StateFolder.make(folder)
    let lock = try FileLock(folder + "/lock")
    defer { lock.unlock() }
    let given = ticket ?? ProcessInfo.processInfo.environment["IORUN_TICKET"]
    var (membership, ticket) = try membership(folder, ticket: given.map(TicketArgument.read))
    membership.metrics = offering.metrics
    try await NodeCommand.serve(folder, membership, with: ticket, owner: try owner.watch())
  }

  /// What this node is in which network, and the ticket with which it has yet to be admitted there.
  private func membership(
    _ folder: String, ticket text: String?
  ) throws -> (NodeMembership, Ticket?) {
    let known = try NodeMembership.load(from: folder)
    let offer = try offering.offer()
    guard let text else {
      guard let known else {
        throw IorunError(
          .notRunning, "this machine has joined no network yet",
          remedy: "Join with a ticket: `iorun join TICKET`")
      }
      let changed = known.changed(
        name: name, address: address, milliCPUs: offering.milliCPUs,
        offer: offer)
      try changed.save(to: folder)
      return (changed, nil)
    }
    let ticket = try Ticket(text)
    let nodeName = name ?? known?.name ?? ProcessInfo.processInfo.hostName
    let membership = NodeMembership(
      headAddress: ticket.address, headKey: ticket.headKey, name: nodeName,
      address: address ?? known?.address, milliCPUs: offering.milliCPUs ?? known?.milliCPUs,
      offer: (known?.offer ?? RuntimeOffer()).changed(offer))
    return (membership, ticket)
  }
}
