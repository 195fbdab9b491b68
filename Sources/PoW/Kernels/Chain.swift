internal import CPoW

/// Sequential work: steps `x <- SHA256(x || key || tag)`, 52 bytes in one block. Key and tag stand in
/// every step, so that no step of one device, challenge or lane is worth anything to another.
struct Chain: Sendable {
  /// The tag under which labels are made; lanes and walkers have smaller ones.
  static let labelTag = UInt32.max

  /// Sixteen bytes as four big-endian words.
  let key: [UInt32]
  let kernel: Kernel

  /// Chains under the first sixteen bytes of `seed`.
  init(seed: [UInt8], kernel: Kernel = .fastestChain) {
    key = Words.words(seed.prefix(16))
    self.kernel = kernel
  }

  /// Takes `steps` steps of each of `tags.count` chains; a state is eight words.
  func advance(_ states: inout [UInt32], tags: [UInt32], steps: UInt64) {
    precondition(states.count == 8 * tags.count, "a state for every tag")
    if kernel == .swift {
      for (lane, tag) in tags.enumerated() {
        for _ in 0..<steps { step(&states, at: 8 * lane, tag) }
      }
    } else {
      iorun_pow_chain(kernel.code, key, tags, &states, UInt32(tags.count), steps)
    }
  }

  /// Writes labels `first ..< first + count` to `labels`: `steps` steps from the label's number.
  func fill(
    _ labels: UnsafeMutablePointer<UInt32>, first: UInt64, count: Int, steps: UInt32
  ) {
    guard kernel == .swift else {
      iorun_pow_fill(kernel.code, key, first, UInt64(count), steps, labels)
      return
    }
    for index in 0..<count {
      var state = Self.labelStart(first + UInt64(index))
      advance(&state, tags: [Self.labelTag], steps: UInt64(steps))
      for word in 0..<8 { labels[8 * index + word] = state[word] }
    }
  }

  /// Takes `steps` steps of each walker over `count` labels: `x <- step(x xor label[place(x)])`.
  func walk(
    _ states: inout [UInt32], tags: [UInt32], labels: UnsafePointer<UInt32>, count: UInt64,
    steps: UInt32
  ) {
    precondition(states.count == 8 * tags.count, "a state for every walker")
    guard kernel == .swift else {
      iorun_pow_walk(
        kernel.code, key, labels, count, tags, &states, UInt32(tags.count), steps)
      return
    }
    for _ in 0..<steps {
      for (walker, tag) in tags.enumerated() {
        let base = 8 * walker
        let place = Int(Self.place(states[base], states[base + 1], of: count))
        for word in 0..<8 { states[base + word] ^= labels[8 * place + word] }
        step(&states, at: base, tag)
      }
    }
  }

  /// Where a walker reads next: its first eight bytes as a fraction of the table.
  static func place(_ first: UInt32, _ second: UInt32, of count: UInt64) -> UInt64 {
    (UInt64(first) << 32 | UInt64(second)).multipliedFullWidth(by: count).high
  }

  /// The state from which label `index` is made.
  static func labelStart(_ index: UInt64) -> [UInt32] {
    [0, 0, 0, 0, 0, 0, UInt32(truncatingIfNeeded: index >> 32), UInt32(truncatingIfNeeded: index)]
  }

  private func step(_ states: inout [UInt32], at base: Int, _ tag: UInt32) {
    var block = SIMD16<UInt32>(repeating: 0)
    for word in 0..<8 { block[word] = states[base + word] }
    for word in 0..<4 { block[8 + word] = key[word] }
    (block[12], block[13], block[15]) = (tag, 0x8000_0000, 52 * 8)
    let state = PortableSHA256.compress(PortableSHA256.initial, block)
    for word in 0..<8 { states[base + word] = state[word] }
  }
}

/// Between bytes and the big-endian words of SHA-256.
enum Words {
  static func words(_ bytes: some Collection<UInt8>) -> [UInt32] {
    let bytes = Array(bytes)
    return stride(from: 0, to: bytes.count & ~3, by: 4).map { start in
      bytes[start..<start + 4].reduce(0) { $0 << 8 | UInt32($1) }
    }
  }

  static func bytes(_ words: some Collection<UInt32>) -> [UInt8] {
    words.flatMap { bytes($0) }
  }

  static func bytes(_ word: UInt32) -> [UInt8] {
    withUnsafeBytes(of: word.bigEndian) { Array($0) }
  }

  static func bytes(_ number: UInt64) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}
