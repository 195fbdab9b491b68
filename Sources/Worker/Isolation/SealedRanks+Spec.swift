import IorunContract
import IorunCore
import IorunSandbox
import IorunTunnel

/// What sandboxes here are made of.
extension SealedRanks {
  /// Gives a rank in an image what its GPUs need of this machine beside their files: all that the host's
  /// CDI files say, where these describe each of them and the driver runs hooks, else the driver's
  /// libraries.
  func show(_ indices: [Int], in spec: inout SandboxSpec) throws {
    let described = try indices.compactMap { DescribedDevice.nvidia(node: try gpus.own($0)) }
    if driver.kind == .oci, described.count == indices.count {
      spec.describedDevices = described
      // They name the files, too.
      spec.devices = []
    }
    // Hooks tell an image's loader where the libraries are; that it has no loader cache is no reason to
    // find none.
    spec.binds += libraries.binds
  }

  /// What all sandboxes here have in common.
  ///
  /// - Parameter wanted: what it may use; of what is zero, all that the node has.
  /// - Throws: `gpuMissing` for a GPU whose device file is not known.
  func spec(
    _ name: String, network: NetworkNamespace, block: UInt32, scratch: String, wanted: ResourceSet,
    gpus indices: [Int]
  ) throws -> SandboxSpec {
    let memory = max(wanted.memory == .zero ? facts.memory : wanted.memory, .mebi(64))
    let half = Bytes(memory.rawValue / 2)
    var spec = SandboxSpec(
      name: name, root: root.folder, command: [RankSeal.supervisorFile],
      limits: SandboxLimits(
        memory: memory, processes: Self.mostProcesses,
        milliCPUs: max(100, wanted.milliCPUs == 0 ? facts.milliCPUs : wanted.milliCPUs),
        temporary: half, sharedMemory: half, openFiles: 65_536),
      environment: RankProcess.supervisorEnvironment, folder: RankSeal.folder, scratch: scratch,
      network: .namespace(network.descriptor), firstUser: Self.firstUser(block))
    spec.binds = root.binds
    spec.devices = try gpus.files(indices)
    return spec
  }
}
