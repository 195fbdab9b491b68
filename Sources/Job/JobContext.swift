internal import Foundation
internal import IorunContract
public import IorunCore
internal import IorunMesh
public import IorunRuntime

/// What a Swift program asks when it runs as a rank of a job: who it is, and the gang it belongs to.
///
/// ```swift
/// let context = try await JobContext.join()
/// var gradient: [Float] = …
/// try await context.gang.allReduce(&gradient)
/// await context.leave()
/// ```
public struct JobContext: Sendable {
  /// The job.
  public let job: JobID
  /// The attempt, from 1.
  public let attempt: Int
  /// The ranks that run together.
  public let gang: Gang
  /// The process's actor system: make distributed actors on it, call those of other ranks.
  public let system: MeshActorSystem

  /// True where this process was started as a rank of a job.
  public static var isAvailable: Bool {
    ProcessInfo.processInfo.environment[ExecutorEnvironment.agentAddress] != nil
  }

  /// Connects to the agent of this node and waits until the neighbouring ranks are there.
  ///
  /// - Throws: `notRunning` outside a job; `unreachable` or `timedOut` where the agent or a
  ///   neighbour does not answer within `limit`.
  public static func join(within limit: Duration = .seconds(60)) async throws -> JobContext {
    let environment = ProcessInfo.processInfo.environment
    guard let address = environment[ExecutorEnvironment.agentAddress],
      let agentKey = environment[ExecutorEnvironment.agentKey].flatMap(Base32.decode),
      let secret = environment[ExecutorEnvironment.secret].flatMap(Base32.decode)
    else {
      throw IorunError(
        .notRunning, "this process is not a rank of a job",
        remedy: "Start it with `iorun submit`")
    }
    let identity = try CurveKey(secretKey: secret)
    let endpoint = try ZeroMQEndpoint(
      identity: identity, uplink: MeshUplink(address: address, key: agentKey))
    var made: RingMember?
    // Before the first call can come in, so that a neighbour that is faster finds it.
    let system = MeshActorSystem(transport: endpoint) { system in
      made = system.named(RingMember.wellKnownName) { RingMember(actorSystem: system) }
    }
    guard let ring = made else {
      throw IorunError(.internalFault, "the rank's place in the ring was not made")
    }
    try await endpoint.uplinkMonitor.waitUntilUp(within: limit)
    let desk = try ExecutorDesk.at(CurveKey.peer(of: agentKey), using: system)
    let view = try await desk.gang()
    let gang = try Gang(view: view, ring: ring, system: system)
    try await gang.connect(within: limit)
    return JobContext(
      job: view.lease.job, attempt: view.lease.attempt, gang: gang, system: system)
  }

  /// Waits until all ranks are done and leaves the mesh. Call it before the program ends, so that
  /// nobody waits for an answer from a process that is gone.
  public func leave() async throws {
    try await gang.barrier()
    await system.shutdown(within: .seconds(5))
  }
}
