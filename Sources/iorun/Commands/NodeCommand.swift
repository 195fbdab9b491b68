internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunLocal
internal import IorunMesh
internal import IorunWorker

/// `iorun node`: runs a node whose folder has been prepared. What `iorun up` starts.
struct NodeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "node", abstract: "Run a node from its folder.", shouldDisplay: false)

  @Option(help: "The node's folder.")
  var folder: String

  @OptionGroup var owner: OwnerOptions

  func run() async throws {
    let lock = try FileLock(folder + "/lock")
    defer { lock.unlock() }
    guard let membership = try NodeMembership.load(from: folder) else {
      throw IorunError(
        .notRunning, "\(folder) belongs to no network", remedy: "Join with `iorun join TICKET`")
    }
    try await Self.serve(folder, membership, owner: try owner.watch())
  }

  /// Serves until SIGINT or SIGTERM, or until the owner is gone. With a ticket, the head admits the
  /// node first; the folder then keeps the membership.
  static func serve(
    _ folder: String, _ membership: NodeMembership, with ticket: Ticket? = nil, owner: OwnerWatch?,
    watched: @escaping @Sendable (WorkerStatus) -> Void = { _ in }
  ) async throws {
    let uplink = try ticket.map { try TicketHolder.uplink(with: $0, name: membership.name) }
    let node = try await NodeProcess(
      stateFolder: folder, membership: membership, introduction: uplink?.introduction,
      watched: watched)
    try await Signals.cancelling {
      try await OwnerWatch.during(owner) {
        if let ticket {
          do {
            try await node.waitUntilAdmitted(within: .seconds(10))
          } catch {
            throw TicketHolder.explained(error, ticket: ticket)
          }
          try membership.save(to: folder)
        }
        try await node.run()
      }
    }
  }
}
