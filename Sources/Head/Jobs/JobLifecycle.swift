internal import IorunContract
internal import IorunCore

/// The life of one job as a pure value: what happened goes in, what to do about it comes out.
///
/// It keeps the promise that a gang runs whole or not at all: no rank is started before every rank
/// is prepared, the first failure stops the others, and an attempt is over only when every rank has
/// ended or its node is lost. Its state is exactly what the store keeps, so a head that restarts
/// goes on where the last one was killed.
struct JobLifecycle: Sendable {
  private(set) var record: JobRecord
  /// The ranks of the latest attempt; a rank's number is its index.
  private(set) var ranks: [RankRecord]
  /// The ranks that changed since `takeChangedRanks`.
  private var changed: Set<Int> = []

  /// How often an attempt that ended before its start is repeated without using up a retry.
  static let freeRestarts = 3

  init(record: JobRecord, ranks: [RankRecord] = []) {
    self.record = record
    self.ranks = ranks
  }

  /// The ranks that changed since the last call, to be stored.
  mutating func takeChangedRanks() -> [RankRecord] {
    defer { changed.removeAll() }
    return changed.sorted().filter(ranks.indices.contains).map { ranks[$0] }
  }

  /// A commit with these ranks failed: they are still to be stored.
  mutating func restoreChanged(_ records: [RankRecord]) {
    for record in records where record.lease.attempt == self.record.attempt {
      changed.insert(record.rank)
    }
  }

  /// The store gave the committed state this revision.
  mutating func setRevision(_ revision: Int64) { record.revision = revision }

  /// Why a queued job still waits. False where it was known.
  mutating func setWaitingReason(_ reason: String) -> Bool {
    let reason = record.course.stopReason.map { "\($0); \(reason)" } ?? reason
    guard record.state == .queued, record.reason != reason else { return false }
    record.reason = reason
    return true
  }

  /// Takes in what happened at `time` (seconds since 1970) and returns what to do, in order.
  /// Whatever does not concern the latest attempt, or comes twice, does nothing.
  mutating func handle(_ event: Event, at time: Double) -> [Action] {
    if record.state.isTerminal { return answerAfterEnd(event) }
    switch event {
    case .placed(let members, let epoch, let network, let spares, let isBorrowing, let choice):
      record.course.choice = record.state == .queued ? choice : record.course.choice
      return place(members, epoch: epoch, network, spares, isBorrowing, at: time)
    case .preparationPassed(let attempt, let seconds):
      return passPreparation(attempt, seconds, at: time)
    case .prepared(let lease, let prepared): return markPrepared(lease, prepared, at: time)
    case .prepareFailed(let lease, let error), .startFailed(let lease, let error):
      guard let rank = current(lease) else { return [] }
      return endUnstarted(rank, error, at: time)
    case .report(let report): return take(report, at: time)
    case .nodeReturned(let node, let reports): return reconcile(node, reports, at: time)
    case .nodeLost(let node, let reason):
      return lose(ranks.indices.filter { ranks[$0].node == node }, reason: reason, at: time)
    case .cancelRequested: return cancel(at: time)
    case .timeoutPassed(let attempt): return passTimeout(attempt, at: time)
    case .preempted(let reason):
      guard record.state == .running, record.ending == nil else { return [] }
      return bringToEnd(.preempted(reason: reason), stopping: .gangStopped)
    case .startByPassed:
      guard record.state == .queued, record.attempt == 0 else { return [] }
      return finish(.failed, reason: startByWords, at: time)
    }
  }

  // MARK: the start

  private mutating func place(
    _ members: [Member], epoch: Int64, _ network: OverlayAllotment?, _ spares: [JobCourse.Seat],
    _ isBorrowing: Bool, at time: Double
  ) -> [Action] {
    guard record.state == .queued, members.map(\.rank) == Array(0..<members.count),
      sizes.contains(members.count)
    else { return [] }
    record.course.ranks = members.count == record.spec.gang.ranks ? nil : members.count
    record.course.seats = spares
    record.course.lostNodes = []
    record.course.stopReason = nil
    record.course.isBorrowing = isBorrowing
    record.course.placedAt = time
    record.state = .preparing
    record.attempt += 1
    record.epoch = epoch
    record.network = network
    record.reason = nil
    record.ending = nil
    record.startedAt = nil
    ranks = members.map { member in
      RankRecord(
        lease: LeaseID(job: record.id, attempt: record.attempt, rank: member.rank),
        node: member.node, nodeName: member.nodeName, address: member.address,
        gpuIndices: member.gpuIndices, epoch: epoch)
    }
    changed = Set(ranks.indices)
    let names = Set(ranks.map(\.nodeName)).sorted().joined(separator: ", ")
    let place = network.map { " in the network \($0.network.four)" } ?? ""
    return [.persist(.placed, "attempt \(record.attempt) on \(names)\(place)")]
      + grants(ranks.indices)
  }

  private mutating func markPrepared(
    _ lease: LeaseID, _ prepared: LeasePrepared, at time: Double
  ) -> [Action] {
    guard let rank = current(lease), ranks[rank].state == .preparing else { return [] }
    ranks[rank].state = .prepared
    ranks[rank].executor = prepared.executor
    ranks[rank].port = prepared.rendezvousPort
    ranks[rank].tunnel = prepared.tunnel
    changed.insert(rank)
    var actions: [Action] = [.persist(.prepared, "rank \(rank) on \(ranks[rank].nodeName)")]
    if let cause = ranks[rank].stopCause {
      // The stop may have reached the node before the grant did.
      actions.append(.stop(ranks[rank].node, lease, cause))
    } else if record.state == .preparing, ranks.allSatisfy({ $0.state == .prepared }) {
      record.state = .running
      record.startedAt = time
      for index in ranks.indices { ranks[index].state = .running }
      changed = Set(ranks.indices)
      actions.append(.persist(.started, "\(ranks.count) ranks"))
      actions += starts(ranks.indices)
    }
    return actions
  }

  /// Ranks that are not prepared in time end where they are: nothing of them was started, and nothing
  /// will be, since a start comes from here alone. Their nodes are avoided by the next attempt.
  private mutating func passPreparation(
    _ attempt: Int, _ seconds: Double, at time: Double
  ) -> [Action] {
    guard attempt == record.attempt, record.startedAt == nil,
      [.preparing, .stopping].contains(record.state)
    else { return [] }
    let late = ranks.indices.filter { ranks[$0].state == .preparing }
    let reason = "its node had not prepared it after \(Int(seconds)) s"
    var actions: [Action] = []
    for rank in late where !ranks[rank].isEnded {
      record.lostNodes.insert(ranks[rank].node)
      // Before the end, which may let the job go.
      actions.append(.forget(ranks[rank].node, ranks[rank].lease))
      actions += end(
        rank, ranks[rank].stopCause ?? .notStarted(reason: reason), lastLines: [], at: time)
    }
    // What is to be kept comes before what is sent.
    return actions.filter(\.isKept) + actions.filter { !$0.isKept }
  }

  // MARK: the end of ranks

  private mutating func endUnstarted(
    _ rank: Int, _ error: IorunError, at time: Double
  ) -> [Action] {
    guard !ranks[rank].isEnded else { return [] }
    let cause = ranks[rank].stopCause ?? .notStarted(reason: error.message)
    if Self.isNoFault(of: error) { record.lostNodes.insert(ranks[rank].node) }
    return end(rank, cause, lastLines: [], at: time)
  }

  private mutating func take(_ report: LeaseReport, at time: Double) -> [Action] {
    guard let rank = current(report.id), report.epoch == record.epoch,
      case .ended(let cause, let outputs, let lastLines) = report.state
    else { return [] }
    let forget = Action.forget(ranks[rank].node, report.id)
    if ranks[rank].isEnded { return [forget] }
    ranks[rank].usage = report.usage
    guard cause.isSuccess else {
      return end(rank, cause, lastLines: lastLines, at: time) + [forget]
    }
    guard ranks[rank].state == .running else {
      let reason = "its node says that it succeeded, but it was never started"
      return end(rank, .notStarted(reason: reason), lastLines: lastLines, at: time) + [forget]
    }
    do {
      try outputs?.check()
    } catch {
      // A node that may be anybody's; 74 is sysexits' EX_IOERR.
      let lines = ["[iorun] the rank ended well, but the list of its outputs is wrong: \(error)"]
      return end(rank, .exited(status: 74), lastLines: lines, at: time) + [forget]
    }
    let kept = outputs.map { [Action.keepOutputs(LeaseOutputs(lease: report.id, list: $0))] } ?? []
    return kept + end(rank, cause, lastLines: lastLines, at: time) + [forget]
  }

  private mutating func end(
    _ rank: Int, _ cause: ExitCause, lastLines: [String], at time: Double
  ) -> [Action] {
    let cause = StatusBudget.clamped(cause)
    ranks[rank].state = .ended
    ranks[rank].cause = cause
    ranks[rank].lastLines = StatusBudget.lastLines(lastLines, of: cause)
    changed.insert(rank)
    let detail = "rank \(rank) on \(ranks[rank].nodeName) \(cause)"
    var actions: [Action] = [.persist(.rankEnded, detail)]
    if !cause.isSuccess, record.ending == nil {
      actions += bringToEnd(
        cause == .timedOut ? .timedOut : .failed(rank: rank),
        stopping: cause == .timedOut ? .timedOut : .gangStopped)
    }
    return actions + concludeIfOver(at: time)
  }

  private mutating func lose(_ lost: [Int], reason: String, at time: Double) -> [Action] {
    let lost = lost.filter { !ranks[$0].isEnded }
    guard let first = lost.first else { return [] }
    let reason = StatusBudget.clamped(reason: reason)
    for rank in lost {
      ranks[rank].state = .ended
      ranks[rank].cause = .nodeLost(reason: reason)
      changed.insert(rank)
      record.lostNodes.insert(ranks[rank].node)
    }
    var actions: [Action] = [.persist(.nodeLost, "\(ranks[first].nodeName): \(reason)")]
    record.course.seats.removeAll { seat in lost.contains { ranks[$0].node == seat.node } }
    let isMended = record.spec.gang.isMended && record.course.repairs < Self.mostRepairs
    switch record.ending {
    case nil:
      actions += bringToEnd(
        isMended ? .lost(rank: first) : .failed(rank: first), stopping: .gangStopped)
    case .failed where isMended:
      // A rank that lost its peer often fails before the head can know that the peer's node is gone.
      record.ending = .lost(rank: first)
      record.reason = FailureReason(record: record, ranks: ranks).text
    case .failed, .lost, .preempted, .timedOut, .cancelled: break
    }
    return actions + concludeIfOver(at: time)
  }

  // MARK: the end of attempts

  /// How often a gang is mended before a loss counts as a failure.
  static let mostRepairs = 100

  /// The places that were kept for the gang are given up: it is placed anew as a whole. False where
  /// there were none.
  mutating func releaseSeats() -> Bool {
    guard record.state == .queued, !record.course.seats.isEmpty || !record.course.lostNodes.isEmpty
    else { return false }
    record.course.seats = []
    record.course.lostNodes = []
    return true
  }

  private mutating func cancel(at time: Double) -> [Action] {
    if record.state == .queued { return finish(.cancelled, reason: "cancelled", at: time) }
    guard record.ending != .cancelled else { return [] }
    return [.persist(.cancelRequested, "")] + bringToEnd(.cancelled, stopping: .cancelled)
      + concludeIfOver(at: time)
  }

  private mutating func passTimeout(_ attempt: Int, at time: Double) -> [Action] {
    guard attempt == record.attempt, record.state == .running, record.ending == nil else {
      return []
    }
    return bringToEnd(.timedOut, stopping: .timedOut)
  }

  private mutating func bringToEnd(_ ending: JobEnding, stopping cause: ExitCause) -> [Action] {
    record.ending = ending
    record.state = .stopping
    record.reason = FailureReason(record: record, ranks: ranks).text
    var actions: [Action] = [.persist(.stopping, record.reason ?? "")]
    for index in ranks.indices where !ranks[index].isEnded && ranks[index].stopCause == nil {
      ranks[index].stopCause = cause
      changed.insert(index)
      actions.append(.stop(ranks[index].node, ranks[index].lease, cause))
    }
    return actions
  }

  private mutating func concludeIfOver(at time: Double) -> [Action] {
    guard !ranks.isEmpty, ranks.allSatisfy(\.isEnded) else { return [] }
    let summary = FailureReason(record: record, ranks: ranks)
    switch record.ending {
    case nil:
      record.exitStatus = 0
      return finish(.succeeded, reason: nil, at: time)
    case .cancelled: return finish(.cancelled, reason: "cancelled", at: time)
    case .preempted(let reason):
      if ranks.allSatisfy({ $0.cause?.isSuccess == true }) {
        record.exitStatus = 0
        return finish(.succeeded, reason: nil, at: time)
      }
      record.course.preemptions += 1
      record.course.stopReason = reason
      return requeue(reason: reason)
    case .lost(let first):
      record.course.repairs += 1
      let lost = Set(ranks.filter(\.wasLost).map(\.node))
      let kept = ranks.filter { !$0.wasLost && !lost.contains($0.node) }.map {
        JobCourse.Seat(rank: $0.rank, node: $0.node, gpuIndices: $0.gpuIndices)
      }
      let spares = record.course.seats.filter { $0.rank == nil }
      let name = ranks.indices.contains(first) ? ranks[first].nodeName : "a node"
      let actions = requeue(reason: "\(name) was lost; the gang is being mended")
      record.course.seats = kept + spares
      record.course.lostNodes = lost.sorted()
      return actions
    case .timedOut, .failed:
      if isUnstartedThroughNoFault, record.unstartedAttempts < Self.freeRestarts {
        record.unstartedAttempts += 1
      } else if record.countedAttempts > record.spec.retries {
        record.exitStatus = summary.exitStatus
        return finish(.failed, reason: summary.text, at: time)
      }
      return requeue(
        reason: "attempt \(record.attempt) failed: \(summary.text); it is tried again")
    }
  }

  private mutating func requeue(reason: String) -> [Action] {
    record.state = .queued
    record.network = nil
    record.course.seats = []
    record.reason = reason
    return [.persist(.queued, reason)]
  }

  private mutating func finish(_ state: JobState, reason: String?, at time: Double) -> [Action] {
    record.state = state
    record.network = nil
    record.course.seats = []
    record.reason = reason
    record.endedAt = time
    let kind: JobEvent.Kind =
      switch state {
      case .succeeded: .succeeded
      case .cancelled: .cancelled
      default: .failed
      }
    return [.persist(kind, reason ?? "")]
  }

  private func answerAfterEnd(_ event: Event) -> [Action] {
    guard case .report(let report) = event, case .ended = report.state,
      let rank = current(report.id)
    else { return [] }
    return [.forget(ranks[rank].node, report.id)]
  }

  // MARK: a node is here again

  /// A node registered with the leases it holds: goes on where it stands. Needed after a restart of
  /// the head or of the node, harmless otherwise.
  private mutating func reconcile(
    _ node: PeerID, _ reports: [LeaseReport], at time: Double
  ) -> [Action] {
    let before = ranks
    var actions: [Action] = []
    let epoch = record.epoch
    let reports = Dictionary(
      reports.filter { $0.epoch == epoch }.map { ($0.id, $0) },
      uniquingKeysWith: { first, _ in first })
    // First what is over, because it decides what is still to be told to the others.
    let missing = ranks.indices.filter { rank in
      let held = ranks[rank]
      let isAwaited = held.state == .preparing && held.stopCause == nil
      return held.node == node && !isAwaited && reports[held.lease] == nil
    }
    actions += lose(missing, reason: "the node's agent restarted", at: time)
    for rank in before where rank.node == node && !rank.isEnded {
      if let report = reports[rank.lease] { actions += take(report, at: time) }
    }
    for rank in ranks.indices where ranks[rank].node == node && !ranks[rank].isEnded {
      let held = ranks[rank]
      if let cause = held.stopCause {
        if before[rank].stopCause != nil { actions.append(.stop(node, held.lease, cause)) }
      } else if held.state == .preparing {
        actions += grants(CollectionOfOne(rank))
      } else if held.state == .running, reports[held.lease]?.state == .prepared {
        actions += starts(CollectionOfOne(rank))
      }
    }
    return actions
  }
}
