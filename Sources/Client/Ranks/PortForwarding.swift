internal import CShim
internal import Foundation
internal import IorunContract
public import IorunCore

/// Ports of this machine that lead to ports of a rank: each connection is a stream of its own.
public struct PortForwarding: Sendable {
  /// A port here and the rank's port that it leads to.
  public struct Pair: Hashable, Sendable {
    /// The port on this machine; 0 lets the kernel choose.
    public var local: UInt16
    /// The port in the rank.
    public var remote: UInt16

    /// Reads `REMOTE` or `LOCAL:REMOTE`.
    ///
    /// - Throws: `specInvalid`.
    public init(_ text: String) throws(IorunError) {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false)
      guard (1...2).contains(parts.count), let remote = parts.last.flatMap({ UInt16($0) }),
        remote > 0, let local = UInt16(parts[0])
      else {
        throw IorunError(
          .specInvalid, "'\(text)' is no port or LOCAL:REMOTE",
          remedy: "Give one such as 8888 or 9000:8888")
      }
      (self.local, self.remote) = (local, remote)
    }
  }

  /// What happens to connections.
  public enum Event: Sendable {
    /// A connection could not be made, or broke.
    case failed(Pair, IorunError)
  }

  private struct Listener: Sendable {
    let pair: Pair
    let socket: Descriptor
  }

  /// Connections at once; more wait to be accepted.
  static let mostConnections = 500

  private let rank: RankConnection
  private let listeners: [Listener]

  /// The ports, with those that the kernel chose.
  public var pairs: [Pair] { listeners.map(\.pair) }

  /// Listens; nothing is accepted before `run`.
  ///
  /// - Parameters:
  ///   - pairs: which ports lead where.
  ///   - address: an IPv4 or IPv6 address of this machine.
  /// - Throws: `addressInUse`.
  public init(_ pairs: [Pair], on address: String, to rank: RankConnection) throws {
    self.rank = rank
    listeners = try pairs.map { pair in
      var bound: UInt16 = 0
      let number = iorun_local_listen(address, pair.local, &bound)
      guard number >= 0 else {
        throw IorunError(
          .addressInUse,
          "cannot listen on \(address) port \(pair.local): \(String(cString: strerror(-number)))",
          remedy: "Choose another port: LOCAL:\(pair.remote)")
      }
      var pair = pair
      pair.local = bound
      return Listener(pair: pair, socket: try Descriptor(adopting: number))
    }
  }

  /// Serves until the rank ends or the task is cancelled.
  ///
  /// - Returns: why the rank cannot be reached any more.
  /// - Throws: `CancellationError`.
  public func run(_ handle: @escaping @Sendable (Event) -> Void) async throws -> IorunError {
    try await withThrowingTaskGroup(of: IorunError?.self) { group in
      for listener in listeners {
        group.addTask {
          try await serve(listener, handle)
          return nil
        }
      }
      group.addTask { try await rank.ended() }
      defer { group.cancelAll() }
      while let ended = try await group.next() {
        if let ended { return ended }
      }
      throw CancellationError()
    }
  }

  private func serve(_ listener: Listener, _ handle: @escaping @Sendable (Event) -> Void)
    async throws
  {
    try await withThrowingDiscardingTaskGroup { group in
      let turns = Turns(Self.mostConnections)
      while true {
        try await turns.take()
        let number = try await accept(listener.socket)
        group.addTask {
          await connect(number, listener.pair, handle)
          await turns.giveBack()
        }
      }
    }
  }

  private func accept(_ socket: Descriptor) async throws -> Int32 {
    while true {
      try Task.checkCancellation()
      let number = iorun_local_accept(socket.number)
      if number >= 0 { return number }
      if number == -EAGAIN {
        await socket.readable()
      } else {
        // Out of descriptors, or a connection that went before it was taken.
        try await Task.sleep(for: .milliseconds(20))
      }
    }
  }

  private func connect(
    _ number: Int32, _ pair: Pair, _ handle: @Sendable (Event) -> Void
  ) async {
    do {
      let connection = try Descriptor(adopting: number)
      do {
        let stream = try await rank.open(.connect(port: pair.remote))
        try await connection.join(stream)
      } catch {
        _ = iorun_tcp_abort_on_close(connection.number)
        connection.close()
        throw error
      }
    } catch let error as IorunError {
      // A side that breaks its connection off is the program's own affair.
      if error.code != .fileSystem && error.code != .cancelled { handle(.failed(pair, error)) }
    } catch {}
  }
}

/// A bound on what runs at once.
private actor Turns {
  private var free: Int
  private var waiters: [CheckedContinuation<Void, Never>] = []

  init(_ count: Int) { free = count }

  func take() async throws {
    try Task.checkCancellation()
    if free > 0 {
      free -= 1
      return
    }
    await withCheckedContinuation { waiters.append($0) }
  }

  func giveBack() {
    if waiters.isEmpty { free += 1 } else { waiters.removeFirst().resume() }
  }
}
