import IorunContract
import IorunCore

/// The environment of a rank's process: nothing of the agent's own, the rendezvous variables that
/// torchrun sets (and so PyTorch, JAX and others read), the devices of the lease, the user's own.
struct RankEnvironment: Sendable {
  /// The grant.
  var grant: LeaseGrant
  /// What all ranks know of each other.
  var gang: GangStart
  /// The rank's folders.
  var folder: LeaseFolder
  /// What the node is.
  var facts: NodeFacts
  /// Where programs are looked up.
  var searchPath: String
  /// The identity of the rank's process in the mesh, as variables.
  var executor: [String: String]
  /// The interface of the gang's own network; `nil` where the rank uses the node's.
  var interface: String?
  /// What the image says, `NAME=VALUE`; names that iorun sets itself are left out.
  var image: [String] = []
  /// A folder in which Python finds the SDK; `nil` where it needs none.
  var packages: String?

  /// All variables. The user's may replace the base, never the rendezvous.
  var variables: [String: String] {
    base.merging(imageVariables) { _, images in images }
      .merging(grant.spec.environment) { _, users in users }
      .merging(rendezvous) { _, ours in ours }
      .merging(submitted) { _, ours in ours }
      .merging(tunnel) { _, ours in ours }
      .merging(devices) { _, ours in ours }
      .merging(executor) { _, ours in ours }
  }

  private var base: [String: String] {
    // A rank that takes more threads than it leased slows every other rank of the machine down.
    let threads = String(max(1, grant.spec.gang.resources.milliCPUs / 1000))
    let variables = [
      "PATH": searchPath, "HOME": folder.workSeen, "LANG": "C.UTF-8", "USER": "iorun",
      "LOGNAME": "iorun", "SHELL": "/bin/sh",
      "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads, "OMP_WAIT_POLICY": "PASSIVE",
      // What a rank prints should be seen when it prints it.
      "PYTHONUNBUFFERED": "1",
    ]
    return packages.map { variables.merging(["PYTHONPATH": $0]) { own, _ in own } } ?? variables
  }

  private var imageVariables: [String: String] {
    var variables: [String: String] = [:]
    for line in image.prefix(1024) {
      guard let equals = line.firstIndex(of: "="), equals != line.startIndex,
        !line.utf8.contains(0)
      else { continue }
      let name = String(line[..<equals])
      // The home is the working folder, where the rank may write.
      guard !ReservedEnvironment.contains(name), name != "HOME" else { continue }
      variables[name] = String(line[line.index(after: equals)...])
    }
    return variables
  }

  private var rendezvous: [String: String] {
    let spec = grant.spec
    return [
      "RANK": String(grant.id.rank), "LOCAL_RANK": String(grant.localRank),
      "WORLD_SIZE": String(spec.gang.ranks), "LOCAL_WORLD_SIZE": String(grant.localWorldSize),
      "GROUP_RANK": String(gang.nodeRank), "GROUP_WORLD_SIZE": String(gang.nodeCount),
      "MASTER_ADDR": gang.masterAddress, "MASTER_PORT": String(gang.masterPort),
      "TORCHELASTIC_RESTART_COUNT": String(grant.id.attempt - 1),
      "TORCHELASTIC_MAX_RESTARTS": String(spec.retries),
      "TORCHELASTIC_RUN_ID": grant.id.job.description,
      "GLOO_SOCKET_IFNAME": interface ?? facts.interface,
      "NCCL_SOCKET_IFNAME": interface ?? facts.interface,
      "TP_SOCKET_IFNAME": interface ?? facts.interface,
      "JAX_COORDINATOR_ADDRESS": "\(gang.masterAddress):\(gang.masterPort)",
      "TMPDIR": folder.temporarySeen,
      "IORUN_JOB": grant.id.job.description, "IORUN_ATTEMPT": String(grant.id.attempt),
      "IORUN_RANK": String(grant.id.rank), "IORUN_OUTPUT_DIR": folder.workSeen,
    ]
  }

  /// A driver of tasks and actors gives its workers the folder that came with the job.
  private var submitted: [String: String] {
    grant.workingFolder == nil ? [:] : ["IORUN_WORKING_DIR": folder.workSeen]
  }

  /// What programs must be told in a network of the gang's own: InfiniBand would go around it.
  private var tunnel: [String: String] {
    guard interface != nil else { return ["IORUN_NETWORK": "host"] }
    let network = grant.spec.network.flatMap { $0 == .host ? nil : $0 } ?? .gang
    return ["IORUN_NETWORK": network.rawValue, "NCCL_IB_DISABLE": "1"]
  }

  private var devices: [String: String] {
    let identifiers = grant.gpuIndices.filter(facts.gpus.indices.contains).map {
      facts.gpus[$0].uuid
    }
    .joined(separator: ",")
    return [
      // Empty and unset differ: unset would show all of them.
      "CUDA_VISIBLE_DEVICES": identifiers,
      "NVIDIA_VISIBLE_DEVICES": identifiers.isEmpty ? "void" : identifiers,
    ]
  }
}
