internal import IorunCore

/// One end of a byte stream as a value: what was sent and may be sent, what came and was read.
///
/// Both directions work alike: bytes have offsets, and a side sends no byte at or above the limit
/// that the other side announced. A limit only grows, by what was read, so that a slow reader holds
/// its sender up and nobody's memory. Parts may overtake each other on their way; each arrives at
/// most once, because the calls that carry them do.
struct StreamState: Sendable {
  /// Parts that came too early. One sender has fewer under way.
  static let mostEarlyParts = 256

  // What goes out.
  private(set) var sent: UInt64 = 0
  private(set) var sendLimit: UInt64
  private(set) var isFinished = false

  // What comes in.
  private let window: UInt64
  private var limit: UInt64
  private var ready: [[UInt8]] = []
  private var next = 0
  private var arrived: UInt64 = 0
  private var taken: UInt64 = 0
  private var end: UInt64?
  private var early: [UInt64: [UInt8]] = [:]

  /// - Parameters:
  ///   - sendLimit: what the other side takes at first, in bytes.
  ///   - window: what this side takes beyond what was read, in bytes.
  init(sendLimit: UInt64, window: UInt64) {
    self.sendLimit = sendLimit
    self.window = window
    limit = window
  }

  // MARK: Sending

  /// How many bytes may be sent now.
  var credit: Int { Int(clamping: sendLimit - sent) }

  /// Takes the offset of the next `count` bytes, which are within the credit.
  mutating func reserve(_ count: Int) -> UInt64 {
    defer { sent += UInt64(min(count, credit)) }
    return sent
  }

  /// The other side takes bytes below `limit` from now on.
  mutating func allow(_ limit: UInt64) { sendLimit = max(sendLimit, limit) }

  /// No more will be sent; false where that was said before.
  mutating func finish() -> Bool {
    defer { isFinished = true }
    return !isFinished
  }

  // MARK: Receiving

  /// Bytes came from `offset` on; `isLast` where none follow.
  ///
  /// - Throws: `malformed` for what no honest peer sends.
  mutating func receive(_ bytes: [UInt8], at offset: UInt64, isLast: Bool) throws(IorunError) {
    let (stop, overflow) = offset.addingReportingOverflow(UInt64(bytes.count))
    guard !overflow, stop <= limit else { throw Self.fault("sent more than it was allowed") }
    guard offset >= arrived, early[offset] == nil, stop <= end ?? .max else {
      throw Self.fault("sent bytes twice, or behind the end")
    }
    if isLast {
      guard end == nil else { throw Self.fault("ended twice") }
      end = stop
    } else if bytes.isEmpty {
      throw Self.fault("sent nothing at all")
    }
    guard !bytes.isEmpty else { return }
    guard offset == arrived else {
      guard early.count < Self.mostEarlyParts else { throw Self.fault("sent too much out of turn") }
      early[offset] = bytes
      return
    }
    append(bytes)
    while let part = early.removeValue(forKey: arrived) { append(part) }
    if !early.isEmpty, early.keys.contains(where: { $0 < arrived }) {
      throw Self.fault("sent parts that overlap")
    }
  }

  /// True where a read has something to return.
  var isReadable: Bool { next < ready.count || arrived == end }

  /// Takes up to `most` bytes; `nil` at the end of the stream. Only where it is readable.
  mutating func take(upTo most: Int) -> [UInt8]? {
    guard next < ready.count else { return nil }
    var part = ready[next]
    if part.count > most {
      ready[next] = Array(part[most...])
      part = Array(part[..<most])
    } else {
      ready[next] = []
      next += 1
      if next == ready.count {
        ready.removeAll(keepingCapacity: true)
        next = 0
      }
    }
    taken += UInt64(part.count)
    return part
  }

  /// The limit to announce, where half of the window is free again and more is to come.
  mutating func grantedLimit() -> UInt64? {
    guard end == nil, taken + window - limit >= max(1, window / 2) else { return nil }
    limit = taken + window
    return limit
  }

  /// True where all that will ever come has been read.
  var isDrained: Bool { taken == end }

  private mutating func append(_ bytes: [UInt8]) {
    ready.append(bytes)
    arrived += UInt64(bytes.count)
  }

  private static func fault(_ what: String) -> IorunError {
    IorunError(.malformed, "the other end of a stream \(what)")
  }
}
