internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import Logging

/// Clients that reach into running ranks: who may, and which way the mesh opens for it.
extension JobDirector {
  func attach(_ job: JobID, rank: Int, instance: UInt64, caller: PeerID) async throws -> Attachment
  {
    let status = try await visible(job, to: caller)
    guard (0..<status.spec.gang.ranks).contains(rank) else {
      throw IorunError(
        .notFound, "\(job) has no rank \(rank): its ranks are 0 to \(status.spec.gang.ranks - 1)",
        remedy: "Name one of these")
    }
    let record = try running(rank, of: status)
    let way = AttachmentBook.Way(
      client: MeshInstance.address(of: instance, of: caller), node: record.node)
    let agent = try await agent(record.node)
    do {
      try await agent.admit(
        ClientPass(lease: record.lease, client: way.client, principal: caller), caller: head)
    } catch let error as IorunError where error.code == .notFound {
      throw IorunError(
        .rankEnded, "rank \(rank) of \(job) has just ended",
        remedy: "Look at it with `iorun status \(job)`")
    }
    let isNew = try attachments.note(
      way, of: caller, until: clock.elapsed() + .seconds(ClientPass.lifetimeSeconds))
    if isNew {
      attachmentsHandler?(attachments.ways)
      if caller != status.owner { noteVisit(by: caller, to: record) }
    }
    return Attachment(lease: record.lease, node: record.node, nodeName: record.nodeName)
  }

  /// The rank's record where its process runs. Throws `wrongState` or `rankEnded`.
  private func running(_ rank: Int, of status: JobStatus) throws -> RankRecord {
    guard let ranks = live[status.id]?.lifecycle.ranks, ranks.indices.contains(rank) else {
      if status.state.isTerminal {
        throw IorunError(
          .rankEnded, "\(status.id) is over: it \(Self.word(status.state))",
          remedy: "Fetch what it left with `iorun outputs \(status.id)`, or submit it again")
      }
      throw Self.notYet(rank, status)
    }
    switch ranks[rank].state {
    case .running: return ranks[rank]
    case .preparing, .prepared: throw Self.notYet(rank, status)
    case .ended:
      let cause = ranks[rank].cause.map { ": \($0.description)" } ?? ""
      throw IorunError(
        .rankEnded, "rank \(rank) of \(status.id) has ended\(cause)",
        remedy: "Look at it with `iorun status \(status.id)`")
    }
  }

  private static func notYet(_ rank: Int, _ status: JobStatus) -> IorunError {
    IorunError(
      .wrongState,
      "rank \(rank) of \(status.id) does not run yet: the job is \(status.state.rawValue)",
      remedy: "Wait until `iorun status \(status.id)` says that it runs")
  }

  private static func word(_ state: JobState) -> String {
    state == .cancelled ? "was cancelled" : state.rawValue
  }

  /// Somebody else than the owner looks into a job: its history says who.
  private func noteVisit(by caller: PeerID, to rank: RankRecord) {
    guard live[rank.lease.job] != nil else { return }
    let who = authoriser.peers.role(of: caller) == .operator ? "operator" : "peer"
    live[rank.lease.job]?.events.append(
      JobEvent(
        kind: .attached, detail: "\(who) \(caller.short) reached into rank \(rank.rank)",
        time: clock.now()))
    markDirty(rank.lease.job)
    logger.notice(
      "somebody else than its owner reached into a job",
      metadata: ["peer": "\(caller)", "lease": "\(rank.lease)"])
    Task { await settleLater() }
  }

  /// Calls `handler` now and whenever the ways change.
  func onAttachmentsChanged(_ handler: @escaping @Sendable (Set<AttachmentBook.Way>) -> Void) {
    attachmentsHandler = handler
    handler(attachments.ways)
  }

  /// Closes ways that nobody has asked for again.
  func expireAttachments() {
    if attachments.expire(at: clock.elapsed()) { attachmentsHandler?(attachments.ways) }
  }
}
