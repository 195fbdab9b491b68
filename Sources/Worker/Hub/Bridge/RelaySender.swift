import IorunCore
import IorunWire

/// The sending end of a job's parcels from this node to another: a stream of bytes, cut into numbered
/// segments that fit into calls, of which several are under way at once. A pure value.
///
/// A segment begins with the stream's number and its own (8 bytes each, little-endian); a parcel within
/// the stream is its length (4 bytes: what follows), destination and source (16 each) and the frames.
/// Parcels that wait share segments, so that a busy stream costs a call per segment and not per parcel.
struct RelaySender: Sendable {
  /// What a segment holds at most, its numbers not counted: well below a call's limit.
  static let segmentBytes = 512 << 10
  /// How many segments are under way at once: 16 MiB over a long way.
  static let window = 32
  static let headerBytes = 16
  static let parcelHeaderBytes = 36

  /// A segment to be sent, again if need be, until it is delivered.
  struct Segment: Sendable {
    var sequence: UInt64
    var bytes: [UInt8]
  }

  private let stream: UInt64
  private var buffer: [UInt8] = []
  private var taken = 0
  private var nextSequence: UInt64 = 1
  private var underWay: Set<UInt64> = []

  /// A new stream; `stream` is drawn at random, so that no earlier one is taken for it.
  init(stream: UInt64) { self.stream = stream }

  /// Bytes that wait for their segment.
  var waitingBytes: Int { buffer.count - taken }

  /// Queues a parcel.
  mutating func append(_ parcel: RelayParcel) {
    if taken > 1 << 20, taken > buffer.count / 2 {
      buffer.removeFirst(taken)
      taken = 0
    }
    let length = UInt32(32 + parcel.frames.count)
    withUnsafeBytes(of: length.littleEndian) { buffer.append(contentsOf: $0) }
    buffer.append(contentsOf: parcel.destination.bytes)
    buffer.append(contentsOf: parcel.source.bytes)
    buffer.append(contentsOf: parcel.frames)
  }

  /// The next segment, where something waits and the window is open.
  mutating func next() -> Segment? {
    guard taken < buffer.count, underWay.count < Self.window else { return nil }
    let end = min(buffer.count, taken + Self.segmentBytes)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(Self.headerBytes + end - taken)
    withUnsafeBytes(of: stream.littleEndian) { bytes.append(contentsOf: $0) }
    withUnsafeBytes(of: nextSequence.littleEndian) { bytes.append(contentsOf: $0) }
    bytes.append(contentsOf: buffer[taken..<end])
    taken = end
    if taken == buffer.count {
      buffer.removeAll(keepingCapacity: buffer.capacity <= 2 << 20)
      taken = 0
    }
    defer { nextSequence += 1 }
    underWay.insert(nextSequence)
    return Segment(sequence: nextSequence, bytes: bytes)
  }

  /// A segment has arrived.
  mutating func delivered(_ sequence: UInt64) { underWay.remove(sequence) }
}
