internal import IorunCore
internal import IorunWire

/// A task that another process has sent to this one.
struct InboundTask: Sendable {
  struct Key: Hashable, Sendable {
    let owner: WorkerID
    let number: UInt64
  }

  let number: UInt64
  let attempt: Int
  let name: String
  let resultCount: Int
  let isStream: Bool
  /// How many values of a stream the owner has already, from an earlier attempt.
  let skip: UInt64
  let arguments: Payload
  let peer: Peer

  var key: Key { Key(owner: peer.address.worker, number: number) }

  init(_ frame: LocalFrame, from peer: Peer, in process: ClusterProcess) throws {
    var cursor = FrameCursor(frame.body)
    number = frame.header.number
    attempt = Int(frame.header.aux)
    isStream = frame.header.flags & 1 != 0
    name = try cursor.text()
    resultCount = Int(try cursor.integer(UInt32.self))
    skip = try cursor.integer(UInt64.self)
    arguments = try Payload(&cursor, in: process)
    self.peer = peer
  }
}
