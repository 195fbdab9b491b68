internal import Foundation
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

  /// For half a mebibyte on a slow line, beside fifteen others.
  private static let partLimit = Duration.seconds(60)

  let prover: Prover
  let streams: ProofStreams

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

  func take(_ part: Data, number: Int, of offer: StreamProbe.Offer, caller: PeerID) async throws {
    try await MeshActorSystem.$callTimeout.withValue(Self.partLimit) {
      try await streams.take(part, number: number, of: offer)
    }
  }

  func receipt(of offer: StreamProbe.Offer, key: Digest, caller: PeerID) async throws -> Seal {
    try await MeshActorSystem.$callTimeout.withValue(Self.partLimit) {
      try await streams.receipt(of: offer, key: key)
    }
  }

  func part(_ number: Int, of offer: StreamProbe.Offer, caller: PeerID) async throws
    -> StreamProbe.Part
  {
    try await MeshActorSystem.$callTimeout.withValue(Self.partLimit) {
      try await streams.part(number, of: offer)
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
