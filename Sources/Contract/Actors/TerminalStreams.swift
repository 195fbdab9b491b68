public import Distributed
public import Foundation
public import IorunCore
public import IorunRuntime

/// Bytes of streams at whose end somebody types: in the class of calls, before bulk bytes. See
/// `StreamPort`.
public distributed actor TerminalStreams: WellKnownActor, MailboxTraits {
  /// Calls travel on the mesh.
  public typealias ActorSystem = MeshActorSystem
  /// The name under which every peer finds it.
  public static let wellKnownName = "terminal-streams"
  /// Every method puts bytes into memory and returns.
  public static let runsOnTransport = true

  private let port: StreamPort

  init(_ port: StreamPort, actorSystem: MeshActorSystem) {
    self.port = port
    self.actorSystem = actorSystem
  }

  /// Bytes of a stream from `offset` on.
  public distributed func send(_ bytes: Data, of stream: UInt64, at offset: UInt64, isLast: Bool)
    throws
  {
    try port.received(bytes, of: stream, at: offset, isLast: isLast, from: caller)
  }

  /// The caller takes a stream's bytes below `limit`.
  public distributed func allow(_ limit: UInt64, of stream: UInt64) throws {
    try port.allowed(limit, of: stream, by: caller)
  }

  /// The caller has broken a stream off.
  public distributed func reset(_ stream: UInt64, reason: IorunError) {
    port.wasReset(stream, reason: reason, by: caller)
  }

  /// A sign of life; those of `streams` that are not here.
  public distributed func unknown(of streams: [UInt64]) throws -> [UInt64] {
    try port.unknown(of: streams, from: caller)
  }
}

/// The other end's actor of the actor class.
struct TerminalOutlet: StreamOutlet {
  let actor: TerminalStreams

  func send(_ bytes: Data, of stream: UInt64, at offset: UInt64, isLast: Bool) async throws {
    try await actor.send(bytes, of: stream, at: offset, isLast: isLast)
  }
  func allow(_ limit: UInt64, of stream: UInt64) async throws {
    try await actor.allow(limit, of: stream)
  }
  func reset(_ stream: UInt64, reason: IorunError) async throws {
    try await actor.reset(stream, reason: reason)
  }
  func unknown(of streams: [UInt64]) async throws -> [UInt64] {
    try await actor.unknown(of: streams)
  }
}
