internal import CShim
internal import Glibc

/// Bytes that wait for one socket. Small frames are gathered into blocks; a large one is a block of its
/// own, which is moved and not copied.
struct OutgoingQueue {
  /// Frames are gathered up to about this many bytes.
  static let blockBytes = 64 * 1024
  private static let partsAtOnce = 16

  private var blocks: [[UInt8]] = []
  /// Blocks before this one are sent; they are dropped in bulk.
  private var first = 0
  /// How much of the first block is sent.
  private var offset = 0
  /// How many bytes wait.
  private(set) var byteCount = 0

  /// Adds a frame that somebody else built.
  mutating func append(_ bytes: [UInt8]) {
    byteCount += bytes.count
    let last = blocks.count - 1
    if last >= first, blocks[last].count + bytes.count <= Self.blockBytes {
      blocks[last].append(contentsOf: bytes)
    } else {
      blocks.append(bytes)
    }
  }

  /// Adds a frame that `write` appends to a block.
  mutating func append(about count: Int, _ write: (inout [UInt8]) throws -> Void) rethrows {
    let last = blocks.count - 1
    if last < first || blocks[last].count + count > Self.blockBytes {
      var block: [UInt8] = []
      block.reserveCapacity(count)
      try write(&block)
      byteCount += block.count
      blocks.append(block)
    } else {
      let before = blocks[last].count
      do {
        try write(&blocks[last])
      } catch {
        // Half a frame would make everything behind it unreadable.
        blocks[last].removeLast(blocks[last].count - before)
        throw error
      }
      byteCount += blocks[last].count - before
    }
  }

  /// Sends what the socket takes. Returns 0, or an errno that is not EAGAIN.
  mutating func send(to socket: Int32) -> Int32 {
    while byteCount > 0 {
      let sent = sendOnce(socket)
      if sent == -Int(EAGAIN) { return 0 }
      if sent < 0 { return Int32(-sent) }
      drop(sent)
    }
    return 0
  }

  private func sendOnce(_ socket: Int32) -> Int {
    let count = min(Self.partsAtOnce, blocks.count - first)
    return withUnsafeTemporaryAllocation(of: iovec.self, capacity: count) { parts in
      // Within this scope nobody changes the blocks, so their addresses hold.
      func fill(_ index: Int) -> Int {
        guard index < count else { return iorun_send(socket, parts.baseAddress, Int32(count)) }
        return blocks[first + index].withUnsafeBytes { bytes in
          let start = index == 0 ? offset : 0
          parts.initializeElement(
            at: index,
            to: iovec(
              iov_base: UnsafeMutableRawPointer(
                mutating: bytes.baseAddress?.advanced(by: start)), iov_len: bytes.count - start))
          return fill(index + 1)
        }
      }
      return fill(0)
    }
  }

  private mutating func drop(_ count: Int) {
    byteCount -= count
    var rest = count
    while rest > 0 || (first < blocks.count && blocks[first].count == offset) {
      let left = blocks[first].count - offset
      if rest < left {
        offset += rest
        return
      }
      rest -= left
      blocks[first] = []
      first += 1
      offset = 0
      if first == blocks.count { break }
    }
    if first == blocks.count {
      blocks.removeAll(keepingCapacity: true)
      first = 0
    } else if first > 64 {
      blocks.removeFirst(first)
      first = 0
    }
  }
}
