public import Distributed
public import Foundation
public import IorunRuntime
public import IorunWire

/// Where nodes bring what ranks print. See `NodeService.appendLog`.
public distributed actor LogSink: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "log-sink"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Log bytes must not hold up control messages.
  public static let trafficClass = TrafficClass.bulk

  private let service: any NodeService

  /// Serves `service` on the mesh.
  public init(_ service: any NodeService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Log bytes from `offset`; returns the length that the head now has.
  public distributed func append(_ lease: LeaseID, epoch: Int64, offset: Int64, bytes: Data)
    async throws
    -> Int64
  {
    try await service.appendLog(
      lease, epoch: epoch, offset: offset, bytes: bytes, caller: caller)
  }
}
