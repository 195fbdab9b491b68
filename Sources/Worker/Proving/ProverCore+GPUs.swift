internal import IorunContract
internal import IorunCore
internal import IorunPoW

/// A node's GPUs: devices of their own, behind the same door. A node's processor and its GPUs never prove
/// anything at the same time: the trees over a GPU's work are the processor's.
extension ProverCore {
  func gpus(caller: PeerID) async throws -> [ProverProfile] {
    try admit(caller)
    guard !gpus.isEmpty else { return [] }
    guard isIdle, !isStopped else { throw Self.isBusy }
    dropTable()
    // All at once, as they prove it.
    return try await withThrowingTaskGroup(of: ProverProfile?.self) { group in
      for gpu in gpus { group.addTask { try await gpu.profile() } }
      var profiles: [ProverProfile] = []
      for try await profile in group { if let profile { profiles.append(profile) } }
      return profiles
    }
  }

  /// The GPU that a device is.
  func gpu(_ device: DeviceID) -> GPUProver? { gpus.first { $0.device == device } }

  /// A table of the node's own that only waits gives the machine back.
  func leaveToGPUs() async {
    if isIdle { dropTable() }
  }

  /// The same the other way round.
  func restGPUs() async {
    for gpu in gpus { await gpu.rest() }
  }
}
