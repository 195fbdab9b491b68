internal import Distributed
internal import IorunCore
internal import IorunWire

/// An encoded value, and the objects that it refers to: references stand in the bytes as numbers of
/// this list, so that whoever carries a value can hold its objects without decoding it.
struct Payload: Sendable {
  var bytes: [UInt8] = []
  var objects: [ObjectHandle] = []

  /// Values of objects up to this size, all together, travel beside their references.
  private static let besideLimit = 64 * 1024
  /// The most references in one value.
  private static let objectLimit = 1 << 20

  init(bytes: [UInt8] = [], objects: [ObjectHandle] = []) {
    self.bytes = bytes
    self.objects = objects
  }

  /// Encodes a value.
  init(_ value: some Encodable, in process: ClusterProcess) throws {
    let transfer = Transfer()
    bytes = try CBOREncoder.encode(value, userInfo: process.userInfo(transfer))
    objects = transfer.objects
  }

  /// Decodes the one value that it holds.
  func decode<Value: Decodable>(_ type: Value.Type, in process: ClusterProcess) throws -> Value {
    try CBORDecoder.decode(
      type, from: bytes, userInfo: process.userInfo(Transfer(objects: objects)))
  }

  /// Appends the list of references and the bytes. The objects must have been lent to the receiver.
  func write(to frame: inout [UInt8]) {
    frame.append(integer: UInt32(objects.count))
    var beside = 0
    for object in objects {
      frame.append(object: object.id)
      frame.append(id: object.owner.node)
      if let value = object.plainValue, beside + value.count <= Self.besideLimit {
        beside += value.count
        frame.append(1)
        frame.append(block: value)
      } else {
        frame.append(0)
      }
    }
    frame.append(contentsOf: bytes)
  }

  /// Reads what `write` wrote, up to the frame's end, and takes hold of the objects.
  init(_ cursor: inout FrameCursor, in process: ClusterProcess) throws {
    let count = Int(try cursor.integer(UInt32.self))
    guard count <= Self.objectLimit else {
      throw IorunError(.malformed, "a value that refers to \(count) objects")
    }
    for _ in 0..<count {
      let id = try cursor.object()
      let owner = ProcessAddress(node: try cursor.id(NodeID.self), worker: id.owner)
      let value = try cursor.integer(UInt8.self) == 1 ? try cursor.block() : nil
      objects.append(process.objects.received(id, owner: owner, value: value))
    }
    bytes = cursor.remainder()
  }
}

/// The references that one encoding collects, or that one decoding finds by number.
///
/// Safety of `@unchecked Sendable`: lives within one encoding or decoding, on one thread.
final class Transfer: @unchecked Sendable {
  static let key = CodingUserInfoKey(rawValue: "iorun.transfer")

  private(set) var objects: [ObjectHandle]

  init(objects: [ObjectHandle] = []) { self.objects = objects }

  func add(_ object: ObjectHandle) -> Int {
    objects.append(object)
    return objects.count - 1
  }

  static func of(_ userInfo: [CodingUserInfoKey: Any]) throws -> Transfer {
    guard let key, let transfer = userInfo[key] as? Transfer else {
      throw IorunError(
        .wrongState, "an object reference can only travel in arguments and results",
        remedy: "Pass the ObjectRef itself to a task or an actor; do not encode it yourself")
    }
    return transfer
  }
}
