public import Distributed
public import Foundation
public import IorunCore
public import IorunPoW
public import IorunRuntime
public import IorunWire

/// The bytes by which a node's line is measured. Apart from `Prover`, in the bulk class, so that no
/// challenge waits behind them. See `ProverService`.
public distributed actor ProofStreams: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "proof-streams"
  /// Half a gibibyte at most.
  public static let trafficClass = TrafficClass.bulk
  /// What a verifier has under way at once.
  public static let maxConcurrentCalls = StreamReceiver.window

  private let service: any ProverService

  /// Serves `service` on the mesh.
  public init(_ service: any ProverService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Takes a part of a download in.
  public distributed func take(_ part: Data, number: Int, of offer: StreamProbe.Offer) async throws
  {
    try await service.take(part, number: number, of: offer, caller: caller)
  }

  /// The device's word for a download.
  public distributed func receipt(of offer: StreamProbe.Offer, key: Digest) async throws -> Seal {
    try await service.receipt(of: offer, key: key, caller: caller)
  }

  /// A part of an upload.
  public distributed func part(_ number: Int, of offer: StreamProbe.Offer) async throws
    -> StreamProbe.Part
  {
    try await service.part(number, of: offer, caller: caller)
  }
}
