internal import IorunContract
internal import IorunCore
internal import IorunScheduler
internal import Logging

/// From an event to the disk, and from there to the nodes.
extension JobDirector {
  /// Takes in an event. What follows from it is not yet on disk: call `settle` to wait for that.
  func apply(_ event: JobLifecycle.Event, to id: JobID) {
    let moment = clock.moment
    recount(id)
    let before = live[id]?.lifecycle.record
    guard let actions = live[id]?.lifecycle.handle(event, at: moment.wall), !actions.isEmpty
    else { return }
    if let before, [.running, .stopping].contains(before.state),
      let ran = live[id]?.ages.sinceStarted(moment.elapsed),
      let after = live[id]?.lifecycle.record, after.state != before.state,
      ![.running, .stopping].contains(after.state)
    {
      lengths.ended(afterSeconds: ran)
    }
    if let record = live[id]?.lifecycle.record { live[id]?.ages.follow(record, at: moment) }
    for action in actions {
      switch action {
      case .persist(let kind, let detail):
        live[id]?.events.append(JobEvent(kind: kind, detail: detail, time: moment.wall))
      case .keepOutputs(let outputs): live[id]?.outputs.append(outputs)
      case .prepare, .start, .stop, .forget: live[id]?.calls.append(action)
      }
    }
    markDirty(id)
  }

  func markDirty(_ id: JobID) {
    live[id]?.isDirty = true
    changes += 1
  }

  /// Returns once everything that was applied before is on disk; the nodes are then being told.
  ///
  /// - Throws: what the store throws. The changes stay in memory and are committed later.
  func settle() async throws {
    let target = changes
    while committed < target {
      if let commit {
        // Someone else's commit, which may have begun too early for us or may fail for itself.
        _ = await commit.result
        continue
      }
      let task = Task { try await self.commitOnce() }
      commit = task
      try await task.value
    }
  }

  /// The same where nobody waits for it.
  func settleLater() async {
    do {
      try await settle()
    } catch {
      logger.error("jobs cannot be stored; trying again", metadata: ["error": "\(error)"])
    }
  }

  private func commitOnce() async throws {
    defer { commit = nil }
    let target = changes
    var batch: [Store.JobChange] = []
    var calls: [JobID: [JobLifecycle.Action]] = [:]
    var statuses: [JobID: JobStatus] = [:]
    for id in order {
      guard live[id]?.isDirty == true, var job = live[id] else { continue }
      batch.append(
        Store.JobChange(
          job: job.lifecycle.record, ranks: job.lifecycle.takeChangedRanks(),
          outputs: job.outputs, events: job.events))
      statuses[id] = job.lifecycle.record.status(ranks: job.lifecycle.ranks)
      calls[id] = job.calls
      (job.events, job.outputs, job.calls) = ([], [], [])
      (job.isDirty, job.isCommitting) = (false, true)
      live[id] = job
    }
    do {
      let revisions = try await store.commit(batch, epoch: epoch)
      committed = target
      for change in batch {
        finish(change.job.id, revisions[change.job.id], statuses[change.job.id])
      }
      for id in order { for call in calls[id] ?? [] { send(call) } }
      order.removeAll { live[$0]?.committed.state.isTerminal ?? true }
      live = live.filter { !$0.value.committed.state.isTerminal }
      for change in batch { statusBell.ring(change.job.id) }
      // Readers of logs wait for the end, too.
      for change in batch { logBell.ring(change.job.id) }
      publishRoutes()
      placeSoon()
    } catch {
      for change in batch { takeBack(change, calls[change.job.id] ?? []) }
      throw error
    }
  }

  private func finish(_ id: JobID, _ revision: Int64?, _ status: JobStatus?) {
    guard var status, let revision else { return }
    status.revision = revision
    live[id]?.lifecycle.setRevision(revision)
    live[id]?.committed = status
    live[id]?.isCommitting = false
  }

  private func takeBack(_ change: Store.JobChange, _ calls: [JobLifecycle.Action]) {
    let id = change.job.id
    live[id]?.lifecycle.restoreChanged(change.ranks)
    live[id]?.events.insert(contentsOf: change.events, at: 0)
    live[id]?.outputs.insert(contentsOf: change.outputs, at: 0)
    live[id]?.calls.insert(contentsOf: calls, at: 0)
    live[id]?.isDirty = true
    live[id]?.isCommitting = false
  }
}
