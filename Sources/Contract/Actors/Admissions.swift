public import Distributed
public import IorunRuntime
public import IorunWire

/// Where the holder of a ticket is admitted, and where peers renew. See `AdmissionService`.
public distributed actor Admissions: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "admissions"
  /// The service keeps its own order; calls wait for each other there, not here.
  public static let maxConcurrentCalls = 1024
  /// Admission comes before everything.
  public static let trafficClass = TrafficClass.control

  private let service: any AdmissionService

  /// Serves `service` on the mesh.
  public init(_ service: any AdmissionService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// Admits the peer that owns `publicKey`.
  public distributed func admit(publicKey: [UInt8], name: String) async throws -> Admission {
    try await service.admit(publicKey: publicKey, name: name, caller: caller)
  }

  /// A fresh certificate for the caller, and whom to believe.
  public distributed func renew() async throws -> Admission {
    try await service.renew(caller: caller)
  }
}
