internal import Foundation
public import IorunCore
public import IorunRuntime
internal import Synchronization

/// All byte streams of one process: makes them, hands them what comes, and notices peers that are
/// gone.
///
/// A stream's two ends are made by whoever opens it (a call of its own, with the number that the
/// opening side drew and the windows of both). Streams of a peer that the mesh has lost, or that no
/// longer knows them, end with the reason.
public final class StreamPort: Sendable {
  /// Which traffic a stream's bytes are.
  public enum Kind: String, Codable, Sendable, Hashable {
    /// Much at once: copies, forwarded connections.
    case bulk
    /// Somebody waits for each key.
    case terminal
  }

  /// Streams of one process at once.
  static let mostStreams = 4096
  /// What each side of a stream may have waiting at most, in bytes.
  public static let mostWindow: UInt64 = 8 << 20
  private static let signInterval = Duration.seconds(5)
  /// As long as a session lives without a word.
  private static let signTimeout = Duration.seconds(60)

  private struct State {
    var streams: [UInt64: MeshStream] = [:]
    var watches: [Destination: Task<Void, Never>] = [:]
    // Distributed actors live as long as somebody holds them.
    var served: [any Sendable] = []
  }

  private struct Destination: Hashable {
    let peer: PeerID
    let kind: Kind
  }

  private let system: MeshActorSystem
  private let state = Mutex(State())

  /// Serves streams on a process's actor system. One a process.
  public init(on system: MeshActorSystem) {
    self.system = system
    let served: [any Sendable] = [
      system.named(BulkStreams.wellKnownName) { BulkStreams(self, actorSystem: system) },
      system.named(TerminalStreams.wellKnownName) { TerminalStreams(self, actorSystem: system) },
    ]
    state.withLock { $0.served = served }
  }

  /// Draws the number of a new stream.
  public static func drawID() -> UInt64 { UInt64.random(in: 1 ... .max) }

  /// Makes this process's end of a stream.
  ///
  /// - Parameters:
  ///   - id: the stream's number.
  ///   - peer: the process at the other end.
  ///   - principal: whose process that is.
  ///   - kind: the class of its bytes.
  ///   - sendLimit: what the other side takes at first, in bytes.
  ///   - window: what this side takes beyond what was read, in bytes.
  /// - Throws: `overloaded` where there are too many streams; `malformed` for a number that is in
  ///   use, or a window that is none.
  public func makeStream(
    _ id: UInt64, with peer: PeerID, principal: PeerID, kind: Kind, sendLimit: UInt64,
    window: UInt64
  ) throws -> MeshStream {
    guard (1...Self.mostWindow).contains(window), sendLimit <= Self.mostWindow, id != 0 else {
      throw IorunError(.malformed, "a stream needs a number and a window up to 8 MiB")
    }
    let outlet = try outlet(to: peer, kind)
    let stream = MeshStream(
      id: id, peer: peer, callers: [peer, principal], sendLimit: sendLimit, window: window,
      outlet: outlet
    ) { [weak self] in self?.forget($0) }
    try state.withLock { state in
      guard state.streams.count < Self.mostStreams else {
        throw IorunError(
          .overloaded, "\(Self.mostStreams) streams are open here already",
          remedy: "Close some connections and try again")
      }
      guard state.streams[id] == nil else {
        throw IorunError(.malformed, "the stream's number is in use")
      }
      state.streams[id] = stream
      let destination = Destination(peer: peer, kind: kind)
      if state.watches[destination] == nil {
        state.watches[destination] = Task { [weak self] in
          while !Task.isCancelled {
            guard let self, await self.isWatching(destination, by: outlet) else { return }
          }
        }
      }
    }
    return stream
  }

  /// Breaks off every stream that is open.
  public func resetAll(_ reason: IorunError) {
    for stream in state.withLock({ Array($0.streams.values) }) { stream.reset(reason) }
  }

  private func outlet(to peer: PeerID, _ kind: Kind) throws -> any StreamOutlet {
    switch kind {
    case .bulk: BulkOutlet(actor: try BulkStreams.at(peer, using: system))
    case .terminal: TerminalOutlet(actor: try TerminalStreams.at(peer, using: system))
    }
  }

  private func forget(_ id: UInt64) { state.withLock { $0.streams[id] = nil } }

  // MARK: Signs of life

  private func streams(to destination: Destination) -> [MeshStream] {
    state.withLock { $0.streams.values.filter { $0.peer == destination.peer } }
  }

  /// One sign of life; false where there is nothing to watch any more.
  private func isWatching(_ destination: Destination, by outlet: any StreamOutlet) async -> Bool {
    guard (try? await Task.sleep(for: Self.signInterval)) != nil else { return false }
    let present = state.withLock { state -> [MeshStream] in
      let present = state.streams.values.filter { $0.peer == destination.peer }
      // Under the lock: a stream that is made from here on starts another watch.
      if present.isEmpty { state.watches[destination] = nil }
      return present
    }
    guard !present.isEmpty else { return false }
    do {
      let unknown = try await MeshActorSystem.$callTimeout.withValue(Self.signTimeout) {
        try await outlet.unknown(of: present.map(\.id))
      }
      let lost = Set(unknown)
      for stream in present where lost.contains(stream.id) {
        stream.fail(IorunError(.peerLost, "the other end no longer knows the stream"))
      }
    } catch {
      let reason =
        error as? IorunError
        ?? IorunError(.peerLost, "the stream's other end is gone", cause: error)
      for stream in present { stream.fail(reason) }
    }
    return true
  }

  // MARK: What comes. On the transport's thread: never waits.

  func received(_ bytes: Data, of id: UInt64, at offset: UInt64, isLast: Bool, from caller: PeerID)
    throws
  {
    guard bytes.count <= MeshStream.partBytes else {
      throw IorunError(.tooLarge, "a part of a stream has at most \(MeshStream.partBytes) bytes")
    }
    try stream(id, for: caller).received([UInt8](bytes), at: offset, isLast: isLast)
  }

  func allowed(_ limit: UInt64, of id: UInt64, by caller: PeerID) throws {
    // Whoever finished and forgot needs no credit any more.
    guard let stream = try? stream(id, for: caller) else { return }
    stream.allowed(limit)
  }

  func wasReset(_ id: UInt64, reason: IorunError, by caller: PeerID) {
    guard let stream = try? stream(id, for: caller) else { return }
    stream.fail(reason)
  }

  func unknown(of ids: [UInt64], from caller: PeerID) throws -> [UInt64] {
    guard ids.count <= Self.mostStreams else {
      throw IorunError(.tooLarge, "nobody has so many streams")
    }
    return ids.filter { (try? stream($0, for: caller)) == nil }
  }

  private func stream(_ id: UInt64, for caller: PeerID) throws -> MeshStream {
    guard let stream = state.withLock({ $0.streams[id] }), stream.callers.contains(caller) else {
      throw IorunError(.peerLost, "the stream is over at its other end")
    }
    return stream
  }
}
