public import Distributed
public import IorunPoW
public import IorunRuntime
public import IorunWire

/// One node as a prover, for its head. See `ProverService`.
public distributed actor Prover: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "prover"
  /// Calls do not wait for each other.
  public static let maxConcurrentCalls = 64
  /// A challenge is timed from its issue: never behind bulk bytes.
  public static let trafficClass = TrafficClass.control

  private let service: any ProverService

  /// Serves `service` on the mesh.
  public init(_ service: any ProverService, actorSystem: MeshActorSystem) {
    self.service = service
    self.actorSystem = actorSystem
  }

  /// What the node claims.
  public distributed func profile() async throws -> ProverProfile {
    try await service.profile(caller: caller)
  }

  /// What its GPUs claim.
  public distributed func gpus() async throws -> [ProverProfile] {
    try await service.gpus(caller: caller)
  }

  /// Fills a table.
  public distributed func prepare(_ table: TableOrder) async throws -> ProofStart {
    try await service.prepare(table, caller: caller)
  }

  /// Seals a fresh number, for the time that it takes there and back.
  public distributed func echo(_ request: EchoProbe.Request) async throws -> EchoProbe.Reply {
    try await service.echo(request, caller: caller)
  }

  /// What its disk does.
  public distributed func disk() async throws -> DiskProbe.Result {
    try await service.disk(caller: caller)
  }

  /// Begins to solve.
  public distributed func start(_ challenge: Challenge, besideJobs: Bool) async throws
    -> ProofStart
  {
    try await service.start(challenge, besideJobs: besideJobs, caller: caller)
  }

  /// How far it is.
  public distributed func progress() async throws -> ProofProgress? {
    try await service.progress(caller: caller)
  }

  /// Holds the work on a challenge, or lets it go on.
  public distributed func hold(_ challenge: [UInt8], isHeld: Bool) async throws {
    try await service.hold(challenge, isHeld: isHeld, caller: caller)
  }

  /// Gives the work on a challenge up.
  public distributed func cancel(_ challenge: [UInt8]) async throws {
    try await service.cancel(challenge, caller: caller)
  }
}
