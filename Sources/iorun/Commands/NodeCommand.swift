internal import ArgumentParser
internal import IorunClient
internal import IorunCore
internal import IorunLocal
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

  /// Serves until SIGINT or SIGTERM, or until the owner is gone.
  static func serve(_ folder: String, _ membership: NodeMembership, owner: OwnerWatch?)
    async throws
  {
    let node = try await NodeProcess(stateFolder: folder, membership: membership)
    try await Signals.cancelling {
      try await OwnerWatch.during(owner) { try await node.run() }
    }
  }
}
