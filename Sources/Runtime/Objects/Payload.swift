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
    (bytes, objects) = try Transfer.collecting {
      try CBOREncoder.encode(value, userInfo: process.userInfo)
    }
  }

  /// Encodes one more value behind those that are there.
  mutating func append(_ value: some Encodable, in process: ClusterProcess) throws {
    let slot = ThreadSlot.current
    let outer = slot.objects
    slot.objects = objects
    defer { slot.objects = outer }
    let encoded = try CBOREncoder.encode(value, userInfo: process.userInfo)
    if bytes.isEmpty { bytes = encoded } else { bytes += encoded }
    objects = slot.objects ?? []
  }

  /// Decodes the one value that it holds.
  func decode<Value: Decodable>(_ type: Value.Type, in process: ClusterProcess) throws -> Value {
    try Transfer.offering(objects) {
      try CBORDecoder.decode(type, from: bytes, userInfo: process.userInfo)
    }
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
enum Transfer {
  /// Encodes, and gives the references that were met.
  static func collecting(_ encode: () throws -> [UInt8]) rethrows -> ([UInt8], [ObjectHandle]) {
    let slot = ThreadSlot.current
    let outer = slot.objects
    slot.objects = []
    defer { slot.objects = outer }
    let bytes = try encode()
    return (bytes, slot.objects ?? [])
  }

  /// Decodes a value that refers to these objects.
  static func offering<Value>(_ objects: [ObjectHandle], _ decode: () throws -> Value) rethrows
    -> Value
  {
    let slot = ThreadSlot.current
    let outer = slot.objects
    slot.objects = objects
    defer { slot.objects = outer }
    return try decode()
  }

  /// Adds a reference to the value that is being encoded; its number there.
  static func add(_ object: ObjectHandle) throws -> Int {
    let slot = ThreadSlot.current
    guard let count = slot.objects?.count else { throw outside }
    slot.objects?.append(object)
    return count
  }

  /// The reference of that number in the value that is being decoded.
  static func object(_ index: Int) throws -> ObjectHandle {
    guard let objects = ThreadSlot.current.objects else { throw outside }
    guard objects.indices.contains(index) else {
      throw IorunError(.malformed, "a value refers to object \(index) of \(objects.count)")
    }
    return objects[index]
  }

  private static var outside: IorunError {
    IorunError(
      .wrongState, "an object reference can only travel in arguments and results",
      remedy: "Pass the ObjectRef itself to a task or an actor; do not encode it yourself")
  }
}
