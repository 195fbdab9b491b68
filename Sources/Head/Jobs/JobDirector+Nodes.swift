internal import Foundation
internal import IorunContract
internal import IorunCore

/// What nodes tell about leases.
extension JobDirector {
  private static let longestAppend = 1 << 20

  /// A node registered with these leases: every job goes on where it stands. Returns the leases that
  /// nobody wants.
  func nodeReturned(_ node: PeerID, _ reports: [LeaseReport]) async throws -> [LeaseID] {
    let byJob = Dictionary(grouping: reports, by: \.id.job)
    for id in jobs(on: node) { apply(.nodeReturned(node, byJob[id] ?? []), to: id) }
    try await settle()
    return unwanted(reports.map(\.id), on: node)
  }

  /// Those of a node's leases that it is to stop and forget.
  func unwanted(_ leases: [LeaseID], on node: PeerID) -> [LeaseID] {
    leases.filter { lease in
      guard let job = live[lease.job] else { return true }
      // What is not on disk yet must not be forgotten.
      if job.isDirty || job.isCommitting { return false }
      guard let rank = rank(lease), rank.node == node else { return true }
      return rank.isEnded
    }
  }

  /// A node says where a lease stands; on disk once this returns.
  func report(_ report: LeaseReport, from node: PeerID) async throws {
    guard live[report.id.job] != nil else {
      // The job is over; its end is on disk.
      if case .ended = report.state { send(.forget(node, report.id)) }
      return
    }
    if let rank = rank(report.id), rank.node != node { throw Self.foreign(report.id) }
    apply(.report(report), to: report.id.job)
    try await settle()
  }

  /// Log bytes of a lease; returns the length from which the node goes on. Bytes of a lease that
  /// nobody knows any more are taken and dropped, so that its node can let go of it.
  func appendLog(
    _ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data, from node: PeerID
  ) async throws -> Int64 {
    guard bytes.count <= Self.longestAppend else {
      throw IorunError(
        .tooLarge, "\(bytes.count) log bytes at once; at most \(Self.longestAppend) are taken")
    }
    let (end, overflow) = offset.addingReportingOverflow(Int64(bytes.count))
    guard offset >= 0, !overflow else {
      throw IorunError(.malformed, "no log has bytes at \(offset)")
    }
    let present = rank(lease)
    let known: RankRecord?
    if let present { known = present } else { known = try await store.rank(lease) }
    guard let known, known.epoch == epoch else { return end }
    guard known.node == node else { throw Self.foreign(lease) }
    let length = try await archive.append(bytes, at: offset, to: lease)
    logBell.ring(lease.job)
    return length
  }

  private static func foreign(_ lease: LeaseID) -> IorunError {
    IorunError(.notAllowed, "lease \(lease) belongs to another node")
  }

  // MARK: executors

  /// A node could start a rank at once. An executor becomes a route of the mesh, so one that is
  /// somebody else's ends the rank, as a fault of its node; the node is told to let go of it in the
  /// answer to its next heartbeat.
  func take(_ prepared: LeasePrepared, of lease: LeaseID) {
    let objection =
      objection(to: prepared.executor, of: lease) ?? objection(to: prepared.tunnel, of: lease)
    if let objection {
      return apply(.prepareFailed(lease, objection), to: lease.job)
    }
    apply(.prepared(lease, prepared), to: lease.job)
    if rank(lease)?.executor == prepared.executor { executors[prepared.executor] = lease }
  }

  private func objection(to executor: PeerID, of lease: LeaseID) -> IorunError? {
    let owner: String
    if executor == head {
      owner = "the head's"
    } else if authoriser.peers.isKnown(executor) {
      owner = "that of a peer or a ticket of this network"
    } else if let other = executors[executor], other != lease, rank(other)?.isEnded == false {
      owner = "that of another rank"
    } else {
      return nil
    }
    return IorunError(
      .notAllowed, "its node gave it an identity in the mesh that is \(owner)",
      remedy: "Ask the node's owner to run the same version of iorun as the head")
  }

  /// A node of a gang of several that has its own network must say how its tunnel is reached.
  private func objection(to tunnel: TunnelMember?, of lease: LeaseID) -> IorunError? {
    guard let lifecycle = live[lease.job]?.lifecycle, lifecycle.record.network != nil else {
      return nil
    }
    do {
      try tunnel?.check()
    } catch {
      return error
    }
    guard tunnel == nil, Set(lifecycle.ranks.map(\.node)).count > 1 else { return nil }
    return IorunError(
      .networkSetup, "its node made no tunnel for the gang's network",
      remedy: "Ask the node's owner to run the same version of iorun as the head")
  }

  static func executors(of routes: [ExecutorRoute]) -> [PeerID: LeaseID] {
    Dictionary(routes.map { ($0.executor, $0.lease) }, uniquingKeysWith: { first, _ in first })
  }

  /// The processes of all ranks that run or are about to.
  func currentRoutes() -> [ExecutorRoute] {
    live.values.flatMap { job in
      job.lifecycle.ranks.compactMap { rank in
        guard !rank.isEnded, let executor = rank.executor else { return nil }
        return ExecutorRoute(executor: executor, lease: rank.lease, node: rank.node)
      }
    }
    .sorted { $0.lease < $1.lease }
  }

  /// Calls `handler` now and whenever the routes change.
  func onRoutesChanged(_ handler: @escaping @Sendable ([ExecutorRoute]) -> Void) {
    routesHandler = handler
    handler(routes)
  }

  func publishRoutes() {
    let present = currentRoutes()
    guard present != routes else { return }
    routes = present
    executors = Self.executors(of: present)
    routesHandler?(present)
  }
}
