internal import Foundation
internal import IorunContract
internal import IorunCore
internal import IorunMesh
internal import IorunRuntime

/// The node as its owner sees it, and has it stop.
extension NodeProcess {
  /// The node as its owner's keeper needs it.
  var ownersNode: OwnerKeeper.Node {
    OwnerKeeper.Node(
      status: { await status },
      announce: { availability in
        try await Self.bounded { try await registry.announce(availability) }
      },
      endWork: { reason in
        hub.endWork(reason: reason)
        await agent.endWork(reason: reason)
      },
      endGPUWork: { index, reason in
        if await !agent.endWork(onGPU: index, reason: reason) { hub.endWork(reason: reason) }
      })
  }

  /// What the node does now, but for what its owner wants.
  var status: WorkerStatus {
    get async {
      let programs = await hub.workingProcesses().map { job, count in
        WorkerStatus.Work(
          job: job.description, rank: nil, state: "\(count) processes", milliCPUs: 0,
          memoryBytes: 0, gpus: 0)
      }
      let facts = agent.facts
      return WorkerStatus(
        processID: getpid(), name: facts.name, node: system.localPeer.description,
        head: headAddress,
        isConnected: endpoint.uplinkMonitor.isLinkUp,
        roundTripMilliseconds: endpoint.uplinkMonitor.roundTrip.map { $0 / .milliseconds(1) },
        startedAt: startedAt, updatedAt: Date().timeIntervalSince1970,
        milliCPUs: facts.milliCPUs, gpus: facts.gpus.count,
        work: await agent.work + programs.sorted { $0.job < $1.job }, proof: await proof,
        guardRecord: nodeGuard?.record, isolation: facts.isolation)
    }
  }

  /// How it stands with its proofs; `nil` where its head asks for none.
  var proof: WorkerStatus.Proof? {
    get async {
      guard let mark = await agent.mark else { return nil }
      var proof = await prover.ownersView
      proof.mark = mark.status.rawValue
      proof.reason = mark.reason
      proof.untilEpoch = mark.untilEpoch
      return proof
    }
  }
}
