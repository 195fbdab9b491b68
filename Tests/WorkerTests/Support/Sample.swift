import IorunContent
import IorunContract
import IorunCore

/// Values that many tests need.
enum Sample {
  // swift-format-ignore: NeverForceUnwrap
  static let job = JobID("job-00000000")!
  static let head = PeerID(high: 1, low: 1)

  static func lease(attempt: Int = 1, rank: Int = 0) -> LeaseID {
    LeaseID(job: job, attempt: attempt, rank: rank)
  }

  static func grant(
    _ script: String = "true", rank: Int = 0, ranks: Int = 1, attempt: Int = 1, epoch: Int64 = 1,
    resources: ResourceSet = ResourceSet(milliCPUs: 1000), gpuIndices: [Int] = []
  ) -> LeaseGrant {
    LeaseGrant(
      id: lease(attempt: attempt, rank: rank), epoch: epoch,
      spec: JobSpec(
        name: "test", entrypoint: .command(["/bin/sh", "-c", script]),
        gang: JobSpec.Gang(ranks: ranks, resources: resources)),
      workingFolder: nil, gpuIndices: gpuIndices, localRank: 0, localWorldSize: 1)
  }

  static func facts(gpus: Int = 0) -> NodeFacts {
    NodeFacts(
      name: "node", hostname: "host", address: "127.0.0.1", interface: "lo", milliCPUs: 4000,
      cpuModel: "test", memory: .gibi(4), disk: .gibi(10),
      gpus: (0..<gpus).map { .init(model: "Test", uuid: "GPU-\($0)", memory: .gibi(1)) },
      system: "Linux", version: "0")
  }

  static let gang = GangStart(
    masterAddress: "127.0.0.1", masterPort: 4000, members: [], nodeCount: 1, nodeRank: 0)
}
