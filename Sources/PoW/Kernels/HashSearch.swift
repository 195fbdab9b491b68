internal import CPoW

/// The search for small digests of 80-byte messages: a prefix of 64 bytes, the low half of the
/// nonce, its high half (four bytes each) and the epoch (eight), all big-endian. The nonce is first,
/// so that nobody can skip rounds that we cannot. Hot: no allocation, no lock.
struct HashSearch: Sendable {
  static let prefixByteCount = 64

  private var message = iorun_pow_message()

  /// A search behind `prefix`, which must have 64 bytes.
  init(prefix: [UInt8], epoch: Int64 = 0) {
    precondition(prefix.count == Self.prefixByteCount, "a prefix has 64 bytes")
    withUnsafeMutablePointer(to: &message.midstate) { midstate in
      midstate.withMemoryRebound(to: UInt32.self, capacity: 8) {
        iorun_pow_midstate(prefix, $0)
      }
    }
    let epoch = UInt64(bitPattern: epoch)
    message.tail = (0, UInt32(truncatingIfNeeded: epoch >> 32), UInt32(truncatingIfNeeded: epoch))
  }

  /// The high half of the nonces that ``run(_:from:count:threshold:into:)`` tries.
  var high: UInt32 {
    get { message.tail.0 }
    set { message.tail.0 = newValue }
  }

  /// Tries `count` low halves from `first`, and writes those whose digest's first word is at most
  /// `threshold` to `found`; stops when it is full.
  func run(
    _ kernel: Kernel, from first: UInt32, count: UInt32, threshold: UInt32,
    into found: inout [UInt32]
  ) -> (found: Int, tried: UInt32) {
    if kernel == .swift {
      return portable(from: first, count: count, threshold: threshold, into: &found)
    }
    var tried: UInt32 = 0
    let capacity = UInt32(found.count)
    let hits = withUnsafePointer(to: message) {
      iorun_pow_seek(kernel.code, $0, first, count, threshold, &found, capacity, &tried)
    }
    return (Int(hits), tried)
  }

  /// The first eight bytes (big-endian) of the digest of each nonce.
  func values(of nonces: [UInt64], _ kernel: Kernel = .fastestChain) -> [UInt64] {
    if kernel == .swift { return nonces.map(portableValue) }
    return [UInt64](unsafeUninitializedCapacity: nonces.count) { buffer, count in
      withUnsafePointer(to: message) {
        iorun_pow_digests(kernel.code, $0, nonces, buffer.baseAddress, UInt32(nonces.count))
      }
      count = nonces.count
    }
  }

  private func portable(
    from first: UInt32, count: UInt32, threshold: UInt32, into found: inout [UInt32]
  ) -> (found: Int, tried: UInt32) {
    var (hits, tried): (Int, UInt32) = (0, 0)
    while tried < count, hits < found.count {
      let low = first &+ tried
      if portableValue(UInt64(high) << 32 | UInt64(low)) >> 32 <= UInt64(threshold) {
        found[hits] = low
        hits += 1
      }
      tried += 1
    }
    return (hits, tried)
  }

  private func portableValue(_ nonce: UInt64) -> UInt64 {
    let m = message.midstate
    var block = SIMD16<UInt32>(repeating: 0)
    block[0] = UInt32(truncatingIfNeeded: nonce)
    block[1] = UInt32(truncatingIfNeeded: nonce >> 32)
    (block[2], block[3]) = (message.tail.1, message.tail.2)
    (block[4], block[15]) = (0x8000_0000, 640)
    let state = PortableSHA256.compress(SIMD8(m.0, m.1, m.2, m.3, m.4, m.5, m.6, m.7), block)
    return UInt64(state[0]) << 32 | UInt64(state[1])
  }
}
