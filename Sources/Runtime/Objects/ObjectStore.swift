internal import Foundation
internal import Glibc
internal import IorunCore
internal import IorunWire
internal import Synchronization

/// A value in the object stores of nodes.
struct StoredObject: Sendable {
  let size: Int
  /// The nodes that have it.
  let nodes: [NodeID]
  /// What it refers to.
  let objects: [ObjectHandle]

  init(size: Int, nodes: [NodeID], objects: [ObjectHandle]) {
    self.size = size
    self.nodes = nodes
    self.objects = objects
  }

  /// Appends size, nodes and the references, which must have been lent to the receiver.
  func write(to frame: inout [UInt8]) {
    frame.append(integer: UInt64(size))
    frame.append(integer: UInt16(nodes.count))
    for node in nodes { frame.append(id: node) }
    Payload(objects: objects).write(to: &frame)
  }

  init(_ cursor: inout FrameCursor, in process: ClusterProcess) throws {
    size = Int(clamping: try cursor.integer(UInt64.self))
    let count = Int(try cursor.integer(UInt16.self))
    var nodes: [NodeID] = []
    for _ in 0..<count { nodes.append(try cursor.id(NodeID.self)) }
    self.nodes = nodes
    objects = try Payload(&cursor, in: process).objects
  }
}

/// This node's shared memory of the job, mapped once.
///
/// Safety of `@unchecked Sendable`: the mapping is constant; the hub gives each writer bytes of its
/// own, and what is sealed does not change.
final class ObjectStore: @unchecked Sendable {
  /// Before the value: one byte for its form, the width of its elements, and zeros.
  static let headerBytes = 64

  private enum Form: UInt8 {
    case cbor = 0
    case flat = 1
  }

  private struct Alloc: Encodable { let object: ObjectID, size: Int }
  private struct Offset: Decodable { let offset: Int }
  private struct Seal: Encodable { let object: ObjectID, size: Int, owner: ProcessAddress }
  private struct Pin: Encodable { let object: ObjectID, locations: [NodeID], size: Int }
  private struct Pinned: Decodable { let offset: Int, size: Int }
  private struct Objects: Encodable { let objects: [ObjectID] }
  private struct Free: Encodable {
    struct Item: Encodable { let object: ObjectID, locations: [NodeID] }
    let objects: [Item]
  }
  private struct One: Encodable { let object: ObjectID }

  private let hub: HubLink
  private let node: NodeID
  private let memory: UnsafeMutableRawBufferPointer

  /// - Throws: `fileSystem` where the shared memory cannot be mapped.
  init(path: String, size: Int, node: NodeID, hub: HubLink) throws {
    self.hub = hub
    self.node = node
    let descriptor = open(path, O_RDWR | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    guard descriptor >= 0,
      let address = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      address != MAP_FAILED
    else {
      throw IorunError(
        .fileSystem, "cannot map the object store '\(path)': \(String(cString: strerror(errno)))",
        remedy: "Check that the file is there and the limit on memory (`ulimit -v`)")
    }
    memory = UnsafeMutableRawBufferPointer(start: address, count: size)
  }

  deinit { munmap(memory.baseAddress, memory.count) }

  /// Stores a value's bytes and seals them.
  func write(_ payload: Payload, as object: ObjectID, owner: ProcessAddress) async throws
    -> StoredObject
  {
    try await write(
      as: object, owner: owner, count: payload.bytes.count, form: .cbor, stride: 1,
      objects: payload.objects
    ) { target in payload.bytes.withUnsafeBytes { target.copyMemory(from: $0) } }
  }

  /// Stores numbers as they lie in memory.
  func write(_ value: some FlatStorable, as object: ObjectID, owner: ProcessAddress)
    async throws -> StoredObject
  {
    try await write(
      as: object, owner: owner, count: value.flatByteCount, form: .flat,
      stride: type(of: value).flatStride, objects: []
    ) { value.copyFlat(to: $0) }
  }

  private func write(
    as object: ObjectID, owner: ProcessAddress, count: Int, form: Form, stride: Int,
    objects: [ObjectHandle], fill: (UnsafeMutableRawBufferPointer) -> Void
  ) async throws -> StoredObject {
    let size = Self.headerBytes + count
    let place = try await hub.request(.alloc, Alloc(object: object, size: size))
      .decode(Offset.self)
    let bytes = try range(place.offset, size)
    bytes[0] = form.rawValue
    bytes[1] = UInt8(clamping: stride)
    fill(UnsafeMutableRawBufferPointer(rebasing: bytes[Self.headerBytes...]))
    hub.note(.seal, Seal(object: object, size: size, owner: owner))
    hub.note(.unpin, Objects(objects: [object]))
    return StoredObject(size: size, nodes: [node], objects: objects)
  }

  /// Brings an object here and decodes it.
  ///
  /// - Throws: `objectLost` where no node has it; what decoding throws.
  func read<Value: Decodable>(
    _ type: Value.Type, _ object: ObjectID, _ stored: StoredObject, in process: ClusterProcess
  ) async throws -> Value {
    let place = try await hub.request(
      .pin, Pin(object: object, locations: stored.nodes, size: stored.size)
    ).decode(Pinned.self)
    defer { hub.note(.unpin, Objects(objects: [object])) }
    guard place.size >= Self.headerBytes else {
      throw IorunError(.malformed, "object \(object) has \(place.size) bytes")
    }
    let bytes = UnsafeRawBufferPointer(try range(place.offset, place.size))
    let content = UnsafeRawBufferPointer(rebasing: bytes[Self.headerBytes...])
    switch Form(rawValue: bytes[0]) {
    case .cbor?:
      return try Payload(bytes: Array(content), objects: stored.objects)
        .decode(type, in: process)
    case .flat?:
      guard let flat = type as? any FlatStorable.Type, flat.flatStride == Int(bytes[1]),
        let value = flat.init(flat: content) as? Value
      else {
        throw IorunError(
          .malformed, "object \(object) is an array of \(bytes[1])-byte numbers, not a \(type)")
      }
      return value
    case nil:
      throw IorunError(
        .malformed, "object \(object) has a form that this process does not know",
        remedy: "Objects of Python processes cannot be read as Swift values")
    }
  }

  /// The owner has no use for it any more.
  func free(_ object: ObjectID, _ stored: StoredObject) {
    hub.note(.free, Free(objects: [Free.Item(object: object, locations: stored.nodes)]))
  }

  private func range(_ offset: Int, _ count: Int) throws -> UnsafeMutableRawBufferPointer {
    guard offset >= 0, count >= 0, offset <= memory.count - count else {
      throw IorunError(.malformed, "the agent gave \(count) bytes at \(offset), beyond its memory")
    }
    return UnsafeMutableRawBufferPointer(rebasing: memory[offset..<(offset + count)])
  }
}
