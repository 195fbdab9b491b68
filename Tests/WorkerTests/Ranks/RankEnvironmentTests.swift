import IorunContract
import IorunCore
import Testing

@testable import IorunWorker

@Suite("Rank environments")
struct RankEnvironmentTests {
  private func variables(
    _ change: (inout LeaseGrant) -> Void = { _ in }
  ) -> [String: String] {
    var grant = Sample.grant(rank: 1, ranks: 3)
    grant.localRank = 1
    grant.localWorldSize = 2
    change(&grant)
    return RankEnvironment(
      grant: grant,
      gang: GangStart(
        masterAddress: "10.0.0.7", masterPort: 4242, members: [], nodeCount: 2, nodeRank: 1),
      folder: LeaseFolder(grant.id, stateFolder: "/state"), facts: Sample.facts(gpus: 2),
      searchPath: "/bin", executor: ["IORUN_SECRET": "s"]
    ).variables
  }

  @Test("a rank finds the variables that torchrun would set")
  func torchrun() {
    let variables = variables()
    let expected = [
      "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "3", "LOCAL_WORLD_SIZE": "2",
      "GROUP_RANK": "1", "GROUP_WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.7",
      "MASTER_PORT": "4242", "TORCHELASTIC_RESTART_COUNT": "0", "TORCHELASTIC_MAX_RESTARTS": "0",
      "TORCHELASTIC_RUN_ID": Sample.job.description, "GLOO_SOCKET_IFNAME": "lo",
      "NCCL_SOCKET_IFNAME": "lo", "TP_SOCKET_IFNAME": "lo",
      "JAX_COORDINATOR_ADDRESS": "10.0.0.7:4242",
    ]
    for (name, value) in expected { #expect(variables[name] == value, "\(name)") }
  }

  @Test("threads are as many as leased whole cores, and at least one")
  func threads() {
    #expect(variables { $0.spec.gang.resources.milliCPUs = 2900 }["OMP_NUM_THREADS"] == "2")
    #expect(variables { $0.spec.gang.resources.milliCPUs = 500 }["MKL_NUM_THREADS"] == "1")
  }

  @Test("a rank without GPUs sees none, and one with GPUs its own")
  func gpus() {
    #expect(variables()["CUDA_VISIBLE_DEVICES"] == "")
    #expect(variables { $0.gpuIndices = [1] }["CUDA_VISIBLE_DEVICES"] == "GPU-1")
  }

  @Test("the user's variables replace the base but never the rendezvous")
  func users() {
    let variables = variables { $0.spec.environment = ["LANG": "de", "RANK": "9", "MY": "1"] }
    #expect(variables["LANG"] == "de")
    #expect(variables["MY"] == "1")
    #expect(variables["RANK"] == "1")
  }

  @Test("the identity of the rank's process is passed on")
  func executor() { #expect(variables()["IORUN_SECRET"] == "s") }

  @Test(
    "a spec that sets a reserved or impossible variable is refused",
    arguments: ["RANK", "IORUN_X", "TORCHELASTIC_Y", "", "A=B", "A\0B"])
  func reserved(name: String) {
    #expect { try ReservedEnvironment.check([name: "1"]) } throws: {
      ($0 as? IorunError)?.code == .specInvalid
    }
    #expect(throws: Never.self) { try ReservedEnvironment.check(["NCCL_DEBUG": "INFO"]) }
  }
}
