internal import IorunCore
internal import IorunWire

/// Decides where a value is kept: in messages while it is small, in the object store beyond.
struct ResultStore: Sendable {
  unowned let process: ClusterProcess

  /// Encodes a value under an object's name.
  func store(_ value: some Codable & Sendable, as id: ObjectID, owner: ProcessAddress) async throws
    -> TaskResult
  {
    if let flat = value as? any FlatStorable,
      flat.flatByteCount > ObjectTable.inlineLimit
    {
      return .stored(try await process.store.write(flat, as: id, owner: owner))
    }
    return try await store(try Payload(value, in: process), as: id, owner: owner)
  }

  /// Keeps an encoded value.
  func store(_ payload: Payload, as id: ObjectID, owner: ProcessAddress) async throws -> TaskResult
  {
    guard payload.bytes.count > ObjectTable.inlineLimit else { return .value(payload) }
    return .stored(try await process.store.write(payload, as: id, owner: owner))
  }
}

extension ObjectHandle {
  /// The value, once it is there. One that no node has any more is made again, if a task made it.
  func value<Value: Codable & Sendable>(_ type: Value.Type) async throws -> Value {
    let process = process
    var attempts = 0
    while true {
      switch try await wait() {
      case .value(let payload): return try payload.decode(type, in: process)
      case .failure(let failure): throw process.errors.decode(failure)
      case .stored(let stored):
        do {
          return try await process.store.read(type, id, stored, in: process)
        } catch let error as IorunError where error.code == .objectLost {
          // Bounded: an object that is lost as soon as it is made is given up.
          attempts += 1
          guard attempts <= 3 else { throw error }
          if !isOwned {
            refetch()
          } else if !process.tasks.reconstruct(self) {
            throw error
          }
        }
      }
    }
  }
}

extension Envelope.RemoteFailure {
  /// Appends the failure.
  func write(to frame: inout [UInt8]) {
    frame.append(integer: UInt32(clamping: code))
    for text in [message, remedy, cause, typeName] { frame.append(text: text) }
    frame.append(block: value)
  }

  /// Reads what `write` wrote.
  init(_ cursor: inout FrameCursor) throws {
    let code = Int(try cursor.integer(UInt32.self))
    self.init(
      code: code, message: try cursor.text(), remedy: try cursor.text(), cause: try cursor.text(),
      typeName: try cursor.text(), value: try cursor.block())
  }
}
