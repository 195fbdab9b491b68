internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunLocal
internal import IorunMesh
internal import IorunSandbox
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
    profile: NodeProfile? = nil,
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
            try await node.checkRole()
          } catch {
            // Its scratch is there already, and would outlive the process.
            await node.close()
            throw TicketHolder.explained(error, ticket: ticket)
          }
          try membership.save(to: folder)
        }
        let checking = profile.map { profile in
          Task { try await check(node, against: profile, folder: folder) }
        }
        defer { checking?.cancel() }
        try await node.run()
      }
    }
  }

  /// Says once how the machine stands against its profile. The node works meanwhile, and in any case.
  private static func check(
    _ node: NodeProcess, against profile: NodeProfile, folder: String
  ) async throws {
    try await node.waitUntilAdmitted(within: .seconds(60))
    let checks = try await node.check(against: profile, stateFolder: folder)
    let short = checks.count { $0.outcome != .passed }
    Output.writeError(
      HostCheckRendering.text(checks)
        + (short == 0
          ? "this machine is what its profile asks for\n"
          : "\(short) of \(checks.count) checks fall short of the profile; the node works all the same\n")
    )
  }
}
