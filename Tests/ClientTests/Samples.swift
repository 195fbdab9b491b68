import IorunContent
import IorunContract
import IorunCore

/// Values of the contract for tests of views and renderings.
enum Samples {
  static let peer = PeerID(high: 1, low: 2)

  // swift-format-ignore: NeverForceUnwrap
  static let jobID = JobID("job-7k3f9q2m")!

  static func job(
    _ state: JobState = .running, ranks: [RankStatus] = [], reason: String? = nil,
    entrypoint: JobSpec.Entrypoint = .command(["true"])
  ) -> JobStatus {
    JobStatus(
      id: jobID,
      spec: JobSpec(
        name: "digits", entrypoint: entrypoint,
        gang: .init(ranks: 2, resources: ResourceSet(milliCPUs: 500, memory: .gibi(1))),
        environment: ["LEARNING_RATE": "0.1", "camelCase": "x"], outputs: ["model.bin"],
        timeoutSeconds: 60, retries: 1),
      owner: peer, state: state, attempt: 1, reason: reason,
      exitStatus: state == .failed ? 3 : nil, ranks: ranks, submittedAt: 1000, startedAt: 1010,
      endedAt: state.isTerminal ? 1070 : nil, revision: 7)
  }

  static func rank(
    _ rank: Int, _ state: RankStatus.State = .running, cause: ExitCause? = nil,
    lastLines: [String] = [], usage: RankUsage? = nil
  ) -> RankStatus {
    RankStatus(
      rank: rank, node: PeerID(high: 0, low: UInt64(rank)), nodeName: "node-\(rank + 1)",
      state: state, cause: cause, lastLines: lastLines, usage: usage)
  }

  static let node = NodeStatus(
    id: peer,
    facts: NodeFacts(
      name: "node-1", hostname: "host", address: "127.0.0.2", interface: "lo", milliCPUs: 4000,
      cpuModel: "Some CPU", memory: .gibi(16), disk: .gibi(100),
      gpus: [NodeFacts.GPU(model: "NVIDIA H100", uuid: "GPU-1", memory: .gibi(80))],
      system: "Linux", version: "0.1.0"),
    state: .alive, free: ResourceSet(milliCPUs: 2500, gpus: 1, memory: .gibi(8), disk: .gibi(99)),
    leases: 1, lastSeenAt: 1000, roundTripMilliseconds: 0.42)

  static let network = NetworkStatus(
    head: peer, version: "0.1.0", startedAt: 1000,
    nodes: ["alive": 3, "dead": 1, "suspect": 0, "odd": 2],
    capacity: ResourceSet(milliCPUs: 6000, gpus: 2, memory: .gibi(12), disk: .gibi(20)),
    free: ResourceSet(milliCPUs: 1500, gpus: 1, memory: .gibi(4), disk: .gibi(10)),
    jobs: ["running": 1, "failed": 2])

  static let outputs = [
    OutputFile(
      rank: 1, path: "b", content: Blob(size: .kibi(2), chunks: []), executable: false),
    OutputFile(rank: 0, path: "a", content: Blob(size: Bytes(5), chunks: []), executable: true),
  ]
}
