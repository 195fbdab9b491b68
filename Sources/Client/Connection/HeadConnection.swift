internal import Foundation
public import IorunContract
public import IorunCore
public import IorunMesh
internal import IorunRuntime

/// A client's connection to a head: its distributed actors, ready to be called.
public struct HeadConnection: Sendable {
  /// Jobs.
  public let jobs: JobManager
  /// The network itself.
  public let network: NetworkOverview
  /// Proofs of work.
  public let proofs: Proofs
  /// Runtime jobs.
  public let runtime: RuntimeOverview
  /// Where peers find each other.
  public let rendezvous: Rendezvous
  /// The head's `host:port`.
  public let headAddress: String
  /// Placement.
  public let placer: Placer
  /// Content-addressed chunks.
  public let content: RemoteContent
  /// The head.
  public let head: PeerID
  let system: MeshActorSystem
  /// Which of the client's processes this is.
  let instance: UInt64

  /// Connects with a key that the head admits.
  ///
  /// - Throws: `unreachable` after `limit`; `keyNotAdmitted`, `versionMismatch`.
  public static func open(
    identity: CurveKey, uplink: MeshUplink, within limit: Duration = .seconds(5)
  ) async throws -> HeadConnection {
    // One of several: commands of the same user run side by side.
    let instance = MeshInstance.draw()
    let endpoint = try ZeroMQEndpoint(identity: identity, uplink: uplink, instance: instance)
    let system = MeshActorSystem(transport: endpoint)
    do {
      try await endpoint.uplinkMonitor.waitUntilUp(within: limit)
      return try HeadConnection(system: system, instance: instance, uplink: uplink)
    } catch {
      await system.shutdown(within: .zero)
      throw error
    }
  }

  /// Connects to the head that a command means: that of `ticket`, else that of the state folder.
  ///
  /// A ticket is used once; from then on the identity that it admitted is kept beside the state.
  ///
  /// - Throws: `notRunning` where the folder knows no network; else as `open`.
  public static func open(
    state: StateFolder, ticket: String?, within limit: Duration = .seconds(5)
  ) async throws -> HeadConnection {
    if let ticket { return try await open(state: state, ticket: Ticket(ticket), within: limit) }
    guard let network = try NetworkFile.load(state.networkFile) else {
      // What a node knows of its network admits the node, and no client.
      guard FileManager.default.fileExists(atPath: state.node + "/membership.json") else {
        throw IorunError(
          .notRunning, "there is no network in \(state.path)",
          remedy: "Start one with `iorun up`, or name a head with --head TICKET")
      }
      throw IorunError(
        .notRunning, "this machine is a node of a network, and no client of any (\(state.path))",
        remedy: "See what it does with `iorun worker show`; to submit and look around, ask an "
          + "operator for a ticket (iorun ticket create --role buyer): --head @FILE")
    }
    do {
      return try await open(
        identity: CurveKey.loadOrCreate(at: state.clientKey), uplink: network.uplink(),
        within: limit)
    } catch let error as IorunError where error.code == .unreachable && network.nodeCount > 0 {
      throw IorunError(
        .notRunning, "the network in \(state.path) does not answer",
        remedy: "Start it with `iorun up --state-dir \(state.path)`", cause: error)
    }
  }

  private static func open(
    state: StateFolder, ticket: Ticket, within limit: Duration
  ) async throws -> HeadConnection {
    let folder = state.client(of: CurveKey.peer(of: ticket.headKey))
    try StateFolder.make(folder)
    let keyFile = folder + "/client.key"
    let isNew = !FileManager.default.fileExists(atPath: keyFile)
    let identity = try CurveKey.loadOrCreate(at: keyFile)
    let uplink = MeshUplink(address: "tcp://\(ticket.address)", key: ticket.headKey)
    if !isNew {
      do {
        return try await open(identity: identity, uplink: uplink, within: limit)
      } catch let error as IorunError where error.code == .keyNotAdmitted {
        // An earlier admission did not come to its end: this ticket may still be good.
      }
    }
    do {
      return try await open(
        identity: identity,
        uplink: try TicketHolder.uplink(with: ticket, name: ProcessInfo.processInfo.hostName),
        within: max(limit, .seconds(10)))
    } catch {
      throw TicketHolder.explained(error, ticket: ticket)
    }
  }

  private init(system: MeshActorSystem, instance: UInt64, uplink: MeshUplink) throws {
    self.system = system
    self.instance = instance
    head = CurveKey.peer(of: uplink.key)
    headAddress = String(uplink.address.trimmingPrefix("tcp://"))
    rendezvous = try Rendezvous.at(head, using: system)
    jobs = try JobManager.at(head, using: system)
    network = try NetworkOverview.at(head, using: system)
    proofs = try Proofs.at(head, using: system)
    runtime = try RuntimeOverview.at(head, using: system)
    placer = try Placer.at(head, using: system)
    content = RemoteContent(try ContentExchange.at(head, using: system))
  }

  /// Leaves the mesh.
  public func close() async { await system.shutdown(within: .seconds(1)) }

  /// What the ranks of a job that succeeded left behind, without their lists.
  ///
  /// - Throws: `wrongState` for a job that has not succeeded; what the head throws.
  public func rankOutputs(of job: JobID) async throws -> [RankOutputs] {
    var found: [RankOutputs] = []
    while true {
      let last = found.last?.rank ?? -1
      let more = try await jobs.outputs(job, after: last)
      // Only what comes in order counts: the loop must end whatever the head says.
      guard let first = more.first, first.rank > last else { return found }
      found += more
    }
  }

  /// The files that a job left behind, by rank and path; those of one rank where `rank` is given.
  ///
  /// - Throws: as `rankOutputs`; `malformed` for a list that no honest node writes.
  public func outputs(of job: JobID, rank: Int? = nil) async throws -> [OutputFile] {
    let ranks = try await rankOutputs(of: job).filter { rank == nil || $0.rank == rank }
    return try await ContentDownloader(from: content).files(of: ranks)
  }

  /// Finds a job by its id, the start of its id, or the name of the newest job of that name.
  ///
  /// - Throws: `notFound`, also where the start of an id fits several.
  public func job(_ reference: String) async throws -> JobStatus {
    if let id = JobID(reference) {
      return try await jobs.watch(id, after: -1, waitMilliseconds: 0)
    }
    let known = try await jobs.jobs(limit: 1000)
    let begun = known.filter { $0.id.description.hasPrefix(reference) && reference.count > 4 }
    if let found = known.first(where: { $0.spec.name == reference })
      ?? (begun.count == 1 ? begun.first : nil)
    {
      // A list leaves out what makes a job's status large, such as last lines.
      return try await jobs.watch(found.id, after: -1, waitMilliseconds: 0)
    }
    throw IorunError(
      .notFound,
      begun.isEmpty
        ? "there is no job '\(reference)'" : "'\(reference)' fits \(begun.count) jobs",
      remedy: "List the jobs with `iorun status`")
  }
}
