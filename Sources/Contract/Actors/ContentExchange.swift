public import Distributed
public import Foundation
public import IorunCore
public import IorunRuntime
public import IorunWire

/// Content-addressed chunks at the head, for clients and nodes. See `ContentService`.
public distributed actor ContentExchange: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "content"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Chunks must not hold up control messages.
  public static let trafficClass = TrafficClass.bulk

  private let service: any ContentService

  /// Serves `service` on the mesh.
  public init(_ service: any ContentService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Those of `digests` that are not at the head.
  public distributed func missing(of digests: [Digest]) async throws -> [Digest] {
    try await service.missing(of: digests, caller: caller)
  }

  /// Keeps a chunk.
  public distributed func put(_ chunk: Data) async throws -> Digest {
    try await service.put(chunk, caller: caller)
  }

  /// A chunk's bytes.
  public distributed func get(_ digest: Digest) async throws -> Data {
    try await service.get(digest, caller: caller)
  }
}
