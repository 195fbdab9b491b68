internal import IorunContract
internal import IorunCore
internal import IorunPoW
internal import IorunRuntime

/// A node's prover as the head calls it over the mesh.
struct RemoteProver: ProverService {
  /// A challenge is timed from its issue: one that takes longer is as good as lost.
  private static let limit = Duration.seconds(5)
  /// Kernels are tested and rates measured first.
  private static let profileLimit = Duration.seconds(60)
  /// Machine code is made for GPUs at the first time, and products grow until they fill one.
  private static let gpuLimit = Duration.seconds(180)
  /// Filling is timed by the director.
  private static let fillLimit = Duration.seconds(EpochSchedule.windowSeconds)

  let prover: Prover

  func profile(caller: PeerID) async throws -> ProverProfile {
    try await MeshActorSystem.$callTimeout.withValue(Self.profileLimit) {
      try await prover.profile()
    }
  }

  func gpus(caller: PeerID) async throws -> [ProverProfile] {
    try await MeshActorSystem.$callTimeout.withValue(Self.gpuLimit) { try await prover.gpus() }
  }

  func prepare(_ table: TableOrder, caller: PeerID) async throws -> ProofStart {
    try await MeshActorSystem.$callTimeout.withValue(Self.fillLimit) {
      try await prover.prepare(table)
    }
  }

  func echo(_ request: EchoProbe.Request, caller: PeerID) async throws -> EchoProbe.Reply {
    try await bounded { try await prover.echo(request) }
  }

  func disk(caller: PeerID) async throws -> DiskProbe.Result {
    try await MeshActorSystem.$callTimeout.withValue(Self.profileLimit) {
      try await prover.disk()
    }
  }

  func start(_ challenge: Challenge, besideJobs: Bool, caller: PeerID) async throws -> ProofStart {
    try await bounded { try await prover.start(challenge, besideJobs: besideJobs) }
  }

  func progress(caller: PeerID) async throws -> ProofProgress? {
    try await bounded { try await prover.progress() }
  }

  func hold(_ challenge: [UInt8], isHeld: Bool, caller: PeerID) async throws {
    try await bounded { try await prover.hold(challenge, isHeld: isHeld) }
  }

  func cancel(_ challenge: [UInt8], caller: PeerID) async throws {
    try await bounded { try await prover.cancel(challenge) }
  }

  private func bounded<Result>(_ call: () async throws -> Result) async throws -> Result {
    try await MeshActorSystem.$callTimeout.withValue(Self.limit, operation: call)
  }
}
