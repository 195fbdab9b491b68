/// Datagrams on a byte stream: each after its length in two bytes, big-endian. The stream begins
/// with four bytes that say so.
struct StreamFrames {
  /// The first bytes of a stream from a node.
  static let preface: [UInt8] = Array("IOP1".utf8)
  /// What may wait for a slow stream; datagrams beyond it are dropped, as on any full line.
  static let waitingLimit = 1 << 20

  private var incoming: [UInt8] = []
  private var prefaceLeft: Int
  private(set) var outgoing: [UInt8] = []

  /// - Parameter expectsPreface: true at the listening end.
  init(expectsPreface: Bool) {
    prefaceLeft = expectsPreface ? Self.preface.count : 0
    if !expectsPreface { outgoing = Self.preface }
  }

  /// The datagrams that are whole now; `nil` where the other end speaks something else.
  mutating func receive(_ bytes: ArraySlice<UInt8>) -> [ArraySlice<UInt8>]? {
    incoming += bytes
    var at = 0
    if prefaceLeft > 0 {
      guard Self.preface.starts(with: incoming.prefix(Self.preface.count)) else { return nil }
      guard incoming.count >= prefaceLeft else { return [] }
      at = prefaceLeft
      prefaceLeft = 0
    }
    var datagrams: [ArraySlice<UInt8>] = []
    while incoming.count - at >= 2 {
      let count = Int(incoming[at]) << 8 | Int(incoming[at + 1])
      guard count > 0 else { return nil }
      guard incoming.count - at - 2 >= count else { break }
      datagrams.append(incoming[(at + 2)..<(at + 2 + count)])
      at += 2 + count
    }
    incoming.removeFirst(at)
    return datagrams
  }

  /// Queues a datagram; false where it was dropped.
  mutating func send(_ datagram: ArraySlice<UInt8>) -> Bool {
    guard !datagram.isEmpty, datagram.count <= 65_535,
      outgoing.count + datagram.count + 2 <= Self.waitingLimit
    else { return false }
    outgoing.append(UInt8(datagram.count >> 8))
    outgoing.append(UInt8(truncatingIfNeeded: datagram.count))
    outgoing += datagram
    return true
  }

  /// So many queued bytes have gone.
  mutating func sent(_ count: Int) { outgoing.removeFirst(count) }
}
