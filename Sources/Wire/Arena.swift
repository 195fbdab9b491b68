internal import CWire
internal import Foundation

/// C memory for the strings and bytes of one outgoing protobuf-c message, freed together. protobuf-c
/// structures hold plain pointers, and nesting a `withUnsafe…` closure per field does not scale.
final class Arena {
  private var blocks: [UnsafeMutableRawPointer] = []

  /// Most messages need a handful of blocks.
  init() { blocks.reserveCapacity(8) }

  deinit { for block in blocks { free(block) } }

  /// A NUL-terminated copy of `text`.
  func string(_ text: String) -> UnsafeMutablePointer<CChar>? {
    guard let copy = strdup(text) else { return nil }
    blocks.append(copy)
    return copy
  }

  /// A copy of `bytes`.
  func binary(_ bytes: [UInt8]) -> ProtobufCBinaryData {
    let copy = allocate(UInt8.self, bytes.count)
    if !bytes.isEmpty { copy.initialize(from: bytes, count: bytes.count) }
    return ProtobufCBinaryData(len: bytes.count, data: copy)
  }

  /// Room for one message, initialised by `make`.
  func message<Message>(_ make: (UnsafeMutablePointer<Message>) -> Void)
    -> UnsafeMutablePointer<Message>
  {
    let pointer = allocate(Message.self, 1)
    make(pointer)
    return pointer
  }

  private func allocate<Value>(_ type: Value.Type, _ count: Int) -> UnsafeMutablePointer<Value> {
    let block = UnsafeMutableRawPointer.allocate(
      byteCount: max(count, 1) * MemoryLayout<Value>.stride,
      alignment: MemoryLayout<Value>.alignment)
    blocks.append(block)
    return block.assumingMemoryBound(to: Value.self)
  }
}

/// Packs a protobuf-c message into Swift bytes.
func packed<Message>(
  _ message: inout Message, size: (UnsafePointer<Message>) -> Int,
  pack: (UnsafePointer<Message>, UnsafeMutablePointer<UInt8>) -> Int, into bytes: inout [UInt8],
  withLength: Bool
) {
  withUnsafePointer(to: &message) { pointer in
    let count = size(pointer)
    let start = bytes.count
    let header = withLength ? 4 : 0
    // An exact reservation for every frame would copy a growing batch for every frame; one that
    // doubles copies it a few times.
    let needed = start + header + count
    if needed > bytes.capacity { bytes.reserveCapacity(max(needed, 2 * bytes.capacity)) }
    if withLength {
      for shift in [24, 16, 8, 0] { bytes.append(UInt8(truncatingIfNeeded: count >> shift)) }
    }
    // Not room of zeroes at the end of `bytes`: without optimisation they are appended one by one,
    // which took a third of a second for a megabyte.
    withUnsafeTemporaryAllocation(of: UInt8.self, capacity: count) { room in
      guard let base = room.baseAddress else { return }
      let written = pack(pointer, base)
      bytes.append(contentsOf: UnsafeBufferPointer(start: base, count: written))
    }
  }
}

/// A C string of an unpacked message, or an empty one where it is absent; bytes that are no UTF-8
/// are replaced.
func text(_ pointer: UnsafePointer<CChar>?) -> String {
  guard let pointer else { return "" }
  return String(cString: pointer)
}

/// The bytes of an unpacked message.
func bytes(_ data: ProtobufCBinaryData) -> [UInt8] {
  guard let base = data.data, data.len > 0 else { return [] }
  return [UInt8](UnsafeBufferPointer(start: base, count: data.len))
}
