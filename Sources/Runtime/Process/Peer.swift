internal import IorunCore
internal import IorunWire
internal import Synchronization

/// Another process of the job, as this one speaks to it: over a socket of its own on this node, in
/// parcels through the agents to another. Whatever the way, frames arrive in the order in which they
/// were sent.
final class Peer: StreamLoop.Receiver {
  private enum Path {
    case none
    case direct(LocalStream)
    case relay
    case lost(IorunError)
  }

  private struct State {
    var path = Path.none
    /// Frames for another node that wait for the next parcel.
    var parcel: [UInt8] = []
    var isListed = false
  }

  /// A parcel is sent at once when it has grown to this.
  private static let parcelBytes = 256 * 1024

  let address: ProcessAddress
  private unowned let process: ClusterProcess
  private let state = Mutex(State())

  init(_ address: ProcessAddress, process: ClusterProcess) {
    self.address = address
    self.process = process
  }

  /// The other process has connected to this one.
  func adopt(_ stream: LocalStream) {
    state.withLock { if case .none = $0.path { $0.path = .direct(stream) } }
  }

  /// Makes the path, where there is none yet.
  func connect() throws {
    try state.withLock { state in
      guard case .none = state.path else { return }
      guard address.node == process.address.node else {
        state.path = .relay
        return
      }
      let stream = try process.loop.add(
        try UnixSocket.connect(to: process.socketPath(of: address.worker))
      ) { _ in self }
      try stream.append { bytes in
        try FrameWriter.append(.greet, to: &bytes) { bytes in
          bytes.append(id: process.address.node)
          bytes.append(id: process.address.worker)
        }
      }
      state.path = .direct(stream)
    }
  }

  /// Sends one frame.
  ///
  /// - Throws: `processLost` where the process is gone; `tooLarge` and `overloaded`.
  func send(
    _ kind: LocalKind, flags: UInt8 = 0, aux: UInt16 = 0, number: UInt64 = 0,
    body: (inout [UInt8]) throws -> Void = { _ in }
  ) throws {
    let (stream, lists, isFull) = try state.withLock {
      state -> (LocalStream?, Bool, Bool) in
      switch state.path {
      case .direct(let stream): return (stream, false, false)
      case .lost(let error): throw error
      case .none: throw IorunError(.internalFault, "a process was spoken to before it was reached")
      case .relay:
        try FrameWriter.append(
          kind, flags: flags, aux: aux, number: number, to: &state.parcel, body: body)
        let lists = !state.isListed
        state.isListed = true
        return (nil, lists, state.parcel.count >= Self.parcelBytes)
      }
    }
    if let stream {
      try stream.append { bytes in
        try FrameWriter.append(
          kind, flags: flags, aux: aux, number: number, to: &bytes, body: body)
      }
      return
    }
    if lists { process.peers.list(self) }
    if isFull { flushParcel() }
  }

  /// Asks and waits for the answer.
  func ask(
    _ kind: LocalKind, flags: UInt8 = 0, aux: UInt16 = 0,
    body: @Sendable (inout [UInt8]) throws -> Void
  ) async throws -> PeerReply {
    try await withUnsafeThrowingContinuation { waiter in
      let number = process.replies.insert(waiter, from: address.worker)
      do {
        try send(kind, flags: flags, aux: aux, number: number, body: body)
      } catch {
        process.replies.fail(number, error)
      }
    }
  }

  /// Sends the frames that wait for another node as one parcel.
  func flushParcel() {
    do {
      try state.withLock { state in
        state.isListed = false
        guard !state.parcel.isEmpty else { return }
        try process.hub.relay(state.parcel, to: address)
        state.parcel.removeAll(keepingCapacity: state.parcel.capacity <= 1 << 20)
      }
    } catch {
      process.lost(
        address,
        IorunError(.processLost, "a process of another node cannot be reached", cause: error))
    }
  }

  /// Nothing more is sent to the process.
  func close(_ error: IorunError) {
    let stream = state.withLock { state -> LocalStream? in
      defer {
        state.path = .lost(error)
        state.parcel = []
      }
      if case .direct(let stream) = state.path { return stream }
      return nil
    }
    stream?.close()
  }

  // MARK: Receiver

  func received(_ frame: LocalFrame) throws { try process.frames.received(frame, from: self) }

  func ended(_ error: IorunError?) { process.connectionEnded(address) }
}

/// The processes that this one speaks to.
final class PeerTable: Sendable {
  private struct State {
    var peers: [WorkerID: Peer] = [:]
    /// Those that are gone, so that nobody waits for them; the oldest are forgotten.
    var lost: [WorkerID: IorunError] = [:]
    var lostOrder: [WorkerID] = []
    var listed: [Peer] = []
  }

  private static let lostLimit = 10_000

  private let state = Mutex(State())
  private unowned let process: ClusterProcess

  init(_ process: ClusterProcess) { self.process = process }

  /// The process at an address, reached.
  ///
  /// - Throws: `processLost` where it is known to be gone; `unreachable`.
  func peer(_ address: ProcessAddress) throws -> Peer {
    let peer = try state.withLock { state in
      if let peer = state.peers[address.worker] { return peer }
      if let error = state.lost[address.worker] { throw error }
      let peer = Peer(address, process: process)
      state.peers[address.worker] = peer
      return peer
    }
    do {
      try peer.connect()
    } catch {
      state.withLock { state in
        if state.peers[address.worker] === peer { state.peers[address.worker] = nil }
      }
      throw error
    }
    return peer
  }

  /// The process that has connected to this one, or whose parcel came.
  func accepted(_ address: ProcessAddress, _ stream: LocalStream?) -> Peer {
    let peer = state.withLock { state in
      if let peer = state.peers[address.worker] { return peer }
      let peer = Peer(address, process: process)
      state.peers[address.worker] = peer
      return peer
    }
    if let stream { peer.adopt(stream) }
    return peer
  }

  /// Forgets a process that is gone; false where that was known.
  func lost(_ worker: WorkerID, _ error: IorunError) -> Bool {
    let (isNews, peer) = state.withLock { state -> (Bool, Peer?) in
      guard state.lost.updateValue(error, forKey: worker) == nil else { return (false, nil) }
      state.lostOrder.append(worker)
      if state.lostOrder.count > Self.lostLimit {
        state.lost[state.lostOrder.removeFirst()] = nil
      }
      return (true, state.peers.removeValue(forKey: worker))
    }
    peer?.close(error)
    return isNews
  }

  /// True where a process is known to be gone.
  func isLost(_ worker: WorkerID) -> Bool { state.withLock { $0.lost[worker] != nil } }

  /// The processes of a node that is gone.
  func on(_ node: NodeID) -> [ProcessAddress] {
    state.withLock { $0.peers.values.map(\.address).filter { $0.node == node } }
  }

  func list(_ peer: Peer) {
    state.withLock { $0.listed.append(peer) }
    process.loop.needsFlush()
  }

  /// Hands what waits for other nodes to the hub.
  func flush() {
    let peers = state.withLock { state in
      defer { state.listed.removeAll(keepingCapacity: true) }
      return state.listed
    }
    for peer in peers { peer.flushParcel() }
  }
}
