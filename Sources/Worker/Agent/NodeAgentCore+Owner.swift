import IorunContract
import IorunCore

/// The node's ranks, for the machine's owner.
extension NodeAgentCore {
  /// What of gangs holds something here.
  var work: [WorkerStatus.Work] {
    table.entries.values.filter { !$0.state.isEnded }.map { entry in
      let resources = entry.grant.spec.gang.resources
      let state =
        switch entry.state {
        case .reserved, .preparing: "preparing"
        case .prepared: "prepared"
        case .running: "running"
        case .ended: "ended"
        }
      return WorkerStatus.Work(
        job: entry.grant.id.job.description, rank: entry.grant.id.rank, state: state,
        milliCPUs: resources.milliCPUs, memoryBytes: resources.memory.rawValue, gpus: resources.gpus
      )
    }
    .sorted { ($0.job, $0.rank ?? 0) < ($1.job, $1.rank ?? 0) }
  }

  /// Stops every rank; the head runs them elsewhere, where their jobs allow it.
  func endWork(reason: String) {
    for lease in held.keys { stop(lease, cause: .nodeLost(reason: reason)) }
  }

  /// Stops the rank that a GPU is lent to; false where it is lent to none.
  func endWork(onGPU index: Int, reason: String) -> Bool {
    let holders = table.entries.values.filter {
      !$0.state.isEnded && $0.grant.gpuIndices.contains(index)
    }
    for entry in holders { stop(entry.grant.id, cause: .nodeLost(reason: reason)) }
    return !holders.isEmpty
  }
}
