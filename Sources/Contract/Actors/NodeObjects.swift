public import Distributed
public import Foundation
public import IorunCore
public import IorunRuntime
public import IorunWire

/// The bytes of one node's objects, for other nodes. Apart from `NodeBridge`, in the bulk class, so that
/// calls and parcels do not wait behind them. See `ObjectService`.
public distributed actor NodeObjects: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "objects"
  /// Bytes of objects.
  public static let trafficClass = TrafficClass.bulk
  /// As many as several nodes' windows.
  public static let maxConcurrentCalls = 256

  private let service: any ObjectService

  /// Serves `service` on the mesh.
  public init(_ service: any ObjectService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Bytes of a sealed object. Throws `objectLost` where it is not here.
  public distributed func fetch(_ job: JobID, object: Data, offset: Int64, count: Int) async throws
    -> Data
  {
    try await service.fetch(job, object: object, offset: offset, count: count, caller: caller)
  }
}
