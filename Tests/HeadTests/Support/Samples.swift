import IorunContract
import IorunCore
import TestSupport

@testable import IorunHead

extension NodeFacts {
  static func sample(_ name: String, cpus: Int = 4, address: String = "127.0.0.2") -> NodeFacts {
    NodeFacts(
      name: name, hostname: name, address: address, interface: "lo", milliCPUs: cpus * 1000,
      cpuModel: "a CPU", memory: .gibi(8), disk: .gibi(100), gpus: [], system: "Linux",
      version: "0.1.0", runsStrangersBare: true)
  }
}

extension JobSpec {
  static func sample(
    ranks: Int = 2, cpus: Int = 1, retries: Int = 0, timeout: Double? = nil,
    fence: Double? = nil
  ) -> JobSpec {
    JobSpec(
      name: "sample", entrypoint: .command(["true"]),
      gang: Gang(ranks: ranks, resources: ResourceSet(milliCPUs: cpus * 1000)),
      timeoutSeconds: timeout, retries: retries, fenceSeconds: fence)
  }
}

extension PeerID {
  static func sample(_ number: Int) -> PeerID { PeerID(high: 7, low: UInt64(number)) }
}

extension JobID {
  static let sample: JobID = {
    var generator = SeededGenerator(seed: 1)
    return JobID(using: &generator)
  }()
}

/// 32 bytes that are some peer's public key.
func sampleKey(_ number: UInt8) -> [UInt8] { Array(repeating: number, count: 32) }
