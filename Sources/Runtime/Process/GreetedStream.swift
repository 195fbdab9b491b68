internal import IorunCore
internal import IorunWire

/// A connection that another process has made, before and after it has said who it is.
///
/// Safety of `@unchecked Sendable`: `peer` belongs to the thread with the executor's baton.
final class GreetedStream: StreamLoop.Receiver, @unchecked Sendable {
  private let stream: LocalStream
  private unowned let process: ClusterProcess
  private var peer: Peer?

  init(_ stream: LocalStream, process: ClusterProcess) {
    self.stream = stream
    self.process = process
  }

  func received(_ frame: LocalFrame) throws {
    if let peer { return try process.frames.received(frame, from: peer) }
    guard frame.header.kind == .greet else {
      throw IorunError(.malformed, "a process spoke before it said who it is")
    }
    var cursor = FrameCursor(frame.body)
    let node = try cursor.id(NodeID.self)
    let worker = try cursor.id(WorkerID.self)
    guard node == process.address.node, worker != process.worker else {
      throw IorunError(.notAllowed, "a process greets with an id that cannot be its own")
    }
    peer = process.peers.accepted(ProcessAddress(node: node, worker: worker), stream)
  }

  func ended(_ error: IorunError?) {
    if let peer { process.connectionEnded(peer.address) }
  }
}
