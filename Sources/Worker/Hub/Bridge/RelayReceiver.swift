import IorunCore
import IorunWire

/// The receiving end of `RelaySender`: puts segments into order, drops those that came before, and
/// hands out whole parcels. Every byte may be hostile: the other node is another supplier's. A pure
/// value.
struct RelayReceiver: Sendable {
  /// The most bytes that one parcel carries: a frame of the local protocol, and a little.
  static let parcelBytes = (32 << 20) + 4096

  private var stream: UInt64?
  private var expected: UInt64 = 1
  private var early: [UInt64: [UInt8]] = [:]
  private var buffer: [UInt8] = []
  private var read = 0

  /// Takes a segment; returns the parcels that are whole by it, in order.
  ///
  /// - Throws: `malformed` for bytes that no hub sends; the stream is then of no more use.
  mutating func receive(_ segment: [UInt8]) throws(IorunError) -> [RelayParcel] {
    guard segment.count > RelaySender.headerBytes,
      segment.count <= RelaySender.headerBytes + RelaySender.segmentBytes
    else { throw Self.malformed("a segment of \(segment.count) bytes") }
    let (stream, sequence) = segment.withUnsafeBytes {
      (
        UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self)),
        UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
      )
    }
    if stream != self.stream {
      // The sender began anew: what it had begun to say is gone with it.
      guard sequence <= UInt64(RelaySender.window) else {
        throw Self.malformed("a stream that begins with segment \(sequence)")
      }
      self = RelayReceiver()
      self.stream = stream
    }
    guard sequence >= expected, early[sequence] == nil else { return [] }
    guard sequence - expected < UInt64(2 * RelaySender.window) else {
      throw Self.malformed("segment \(sequence) while \(expected) is awaited")
    }
    early[sequence] = segment
    while let next = early.removeValue(forKey: expected) {
      buffer.append(contentsOf: next[RelaySender.headerBytes...])
      expected += 1
    }
    return try takeParcels()
  }

  private mutating func takeParcels() throws(IorunError) -> [RelayParcel] {
    var parcels: [RelayParcel] = []
    while buffer.count - read >= RelaySender.parcelHeaderBytes {
      let start = read
      let length = buffer.withUnsafeBytes {
        Int(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: start, as: UInt32.self)))
      }
      guard length >= 32, length <= Self.parcelBytes else {
        throw Self.malformed("a parcel of \(length) bytes")
      }
      guard buffer.count - start >= 4 + length else { break }
      guard let destination = WorkerID(bytes: buffer[(start + 4)..<(start + 20)]),
        let source = WorkerID(bytes: buffer[(start + 20)..<(start + 36)])
      else { break }
      parcels.append(
        RelayParcel(
          source: source, destination: destination,
          frames: Array(buffer[(start + 36)..<(start + 4 + length)])))
      read = start + 4 + length
    }
    if read == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.capacity <= 2 << 20)
      read = 0
    } else if read > 1 << 20 {
      buffer.removeFirst(read)
      read = 0
    }
    return parcels
  }

  private static func malformed(_ what: String) -> IorunError {
    IorunError(
      .malformed, "another node's hub sent \(what)",
      remedy: "Run the same release of iorun on both nodes")
  }
}
