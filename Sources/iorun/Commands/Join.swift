internal import ArgumentParser
internal import Foundation
internal import IorunClient
internal import IorunCore
internal import IorunMesh
internal import IorunSandbox
internal import IorunWorker
internal import Synchronization

/// `iorun join`: this machine becomes a node.
struct Join: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    abstract: "Offer this machine as a node, until interrupted.",
    discussion: """
      The node only dials out: no port of this machine needs to be open. After the first time it \
      knows its network, and `iorun join` without a ticket goes on, with the options of the last \
      time but for those that are given anew.
      A ticket on the command line is overwritten as soon as the process runs; `iorun join -` \
      (standard input), `iorun join --ticket-file FILE` and IORUN_TICKET keep it out of `ps` and of \
      the shell's history altogether.
      """)

  @OptionGroup var state: StateOptions

  @Argument(help: "The ticket, - for standard input, or @FILE.")
  var ticket: String?

  @Option(name: .customLong("ticket-file"), help: "Read the ticket from this file.")
  var ticketFile: String?

  @Option(help: "The node's name (default: the host's).")
  var name: String?

  @Option(help: "The address at which other nodes reach this one's ranks.")
  var address: String?

  @Option(
    help: """
      How jobs are kept apart from this machine: auto (the default: sandboxes of crun, runc or \
      bubblewrap, the first that passes its self-test; none: only your own jobs), oci or bwrap (such \
      a one or no start; need root), process (no sandbox, and only your own jobs), or open (no \
      sandbox, everybody's jobs: for a network of your own).
      """,
    transform: { text in
      guard let isolation = NodeIsolation(rawValue: text) else {
        throw ValidationError("use auto, bwrap, oci, process or open")
      }
      return isolation
    })
  var isolation: NodeIsolation?

  @Option(
    name: .customLong("registry"),
    help: ArgumentHelp(
      "A registry of images that this node reaches by the machine's own network, so that it may be a "
        + "private one: HOST, HOST:PORT or http://HOST:PORT; may be repeated. All others are reached "
        + "by way of the public internet.", valueName: "registry"))
  var registries: [String] = []

  @Option(
    name: .customLong("internet-mbps"),
    help: ArgumentHelp(
      "The most that one job with network: internet sends, and receives, in megabits a second; 0: "
        + "no job reaches the internet from here (default: what the profile asks of the line, 250 and "
        + "500; without a profile as much as it carries).",
      valueName: "Mb/s"))
  var internetMegabitsPerSecond: Int?

  @Option(
    name: .customLong("gang-mbps"),
    help: ArgumentHelp(
      "The most that one job's network between nodes sends, and receives, in megabits a second; 0: as "
        + "much as the line carries (default: what a --profile file says, else as much as it carries).",
      valueName: "Mb/s"))
  var gangMegabitsPerSecond: Int?

  @Option(
    name: .customLong("gpu-memory"),
    help: """
      The most memory of each GPU that jobs may hold, such as 20GiB (default: all of it); a job that holds \
      more is ended.
      """)
  var gpuMemory: String?

  @Option(
    help: ArgumentHelp(
      "What this machine is to be checked against, which never keeps it out: a JSON file, or none to "
        + "check nothing (default: that of the last time, or 12 GB of memory, 500 GB of disk, 500 and "
        + "250 Mb/s, 30 ms).",
      discussion: "Keys: memory_bytes, disk_bytes, download_megabits_per_second, "
        + "upload_megabits_per_second, round_trip_milliseconds.", valueName: "file|none"))
  var profile: String?

  @Flag(
    help: ArgumentHelp(
      "Install a systemd service that joins after each start of the machine, and start it.",
      discussion: "For the system as root, else for this user. The ticket is needed the first time."
    ))
  var service = false

  @OptionGroup var guarding: GuardOptions

  @OptionGroup var offering: OfferOptions

  @OptionGroup var owner: OwnerOptions

  func validate() throws {
    if let internetMegabitsPerSecond, !(0...100_000).contains(internetMegabitsPerSecond) {
      throw ValidationError("--internet-mbps takes a number from 0 to 100000")
    }
    if let gangMegabitsPerSecond, !(0...100_000).contains(gangMegabitsPerSecond) {
      throw ValidationError("--gang-mbps takes a number from 0 to 100000")
    }
    for registry in registries { _ = try OwnRegistry(registry) }
  }

  func run() async throws {
    let folder = state.folder.node
    try StateFolder.make(folder)
    let lock = try FileLock(folder + "/lock")
    let given =
      ticket ?? ticketFile.map { "@" + $0 } ?? ProcessInfo.processInfo.environment["IORUN_TICKET"]
    let (described, unused) = try membership(folder, ticket: given.map(TicketArgument.read))
    var membership = described
    membership.metrics = offering.metrics ?? membership.metrics
    if let profile {
      membership.profile = profile == "none" ? nil : try NodeProfile(file: profile)
      membership.isUnchecked = profile == "none" ? true : nil
    }
    membership.gangMegabitsPerSecond = gangMegabitsPerSecond ?? membership.gangMegabitsPerSecond
    membership.memory = try offering.mostMemory() ?? membership.memory
    membership.gpuMemory = try OfferOptions.bytes(gpuMemory, "--gpu-memory") ?? membership.gpuMemory
    if unused == nil { try membership.save(to: folder) }
    if service {
      if let unused { try await admit(folder, membership, with: unused) }
      lock.unlock()
      return try await NodeService.install(stateFolder: state.folder.path)
    }
    defer { lock.unlock() }
    // Whoever joins again after `iorun worker drain` wants the machine to work again.
    var wishes = try OwnerWishes.load(from: folder)
    if wishes.isLeaving {
      wishes.isLeaving = false
      try wishes.save(to: folder)
    }
    if wishes.isPaused {
      Output.writeError("paused: takes no new work until `iorun worker resume`\n")
    }
    let line = WatchedLine()
    defer { line.end() }
    try await NodeCommand.serve(
      folder, membership, with: unused, owner: try owner.watch(),
      profile: membership.asked,
      watched: { line.show(WorkerRendering.liveLine($0)) })
  }

  /// Has the head admit this machine, and keeps the membership for the service.
  private func admit(
    _ folder: String, _ membership: NodeMembership, with ticket: Ticket
  ) async throws {
    let uplink = try TicketHolder.uplink(with: ticket, name: membership.name)
    let node = try await NodeProcess(
      stateFolder: folder, membership: membership, introduction: uplink.introduction)
    do {
      try await node.waitUntilAdmitted(within: .seconds(10))
      try await node.checkRole()
    } catch {
      await node.close()
      throw TicketHolder.explained(error, ticket: ticket)
    }
    try membership.save(to: folder)
    await node.close()
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
      var changed = known.changed(
        name: name, address: address, milliCPUs: offering.milliCPUs,
        offer: offer, claims: try offering.claims(), isolation: isolation,
        registries: registries.isEmpty ? nil : registries,
        internetMegabitsPerSecond: internetMegabitsPerSecond,
        guarding: try guarding.settings(known: known.guarding))
      changed.isolation = changed.isolation ?? .auto
      return (changed, nil)
    }
    let ticket = try Ticket(text)
    let nodeName = name ?? known?.name ?? ProcessInfo.processInfo.hostName
    var membership = NodeMembership(
      headAddress: ticket.address, headKey: ticket.headKey, name: nodeName,
      address: address ?? known?.address, milliCPUs: offering.milliCPUs ?? known?.milliCPUs,
      offer: (known?.offer ?? RuntimeOffer()).changed(offer),
      claims: (known?.claims ?? NodeClaims()).changed(try offering.claims()),
      isolation: isolation ?? known?.isolation ?? .auto,
      registries: registries.isEmpty ? known?.registries : registries,
      internetMegabitsPerSecond: internetMegabitsPerSecond ?? known?.internetMegabitsPerSecond,
      guarding: try guarding.settings(known: known?.guarding))
    (membership.profile, membership.isUnchecked) = (known?.profile, known?.isUnchecked)
    (membership.memory, membership.gpuMemory) = (known?.memory, known?.gpuMemory)
    membership.gangMegabitsPerSecond = known?.gangMegabitsPerSecond
    return (membership, ticket)
  }
}

/// The node's status at the bottom of a terminal; nothing where standard error is none.
private final class WatchedLine: Sendable {
  private let line = Mutex(LiveLine(style: Output.errorStyle))

  func show(_ text: String) {
    guard Output.errorStyle.isTerminal else { return }
    Output.writeError(line.withLock { $0.show(text) })
  }

  func end() { Output.writeError(line.withLock { $0.finish() }) }
}
