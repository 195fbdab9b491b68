internal import IorunCore
internal import IorunCrypto

/// A Merkle tree as certificate logs have it (RFC 6962, section 2.1): leaves and inner nodes are
/// hashed apart, and any number of leaves will do.
struct MerkleTree: Sendable {
  /// The digests of each level, one after the other, the leaves' first.
  private var levels: [[UInt8]] = []

  /// A tree over leaves of `width` bytes each, one after the other in `leaves`.
  init(leaves: [UInt8], width: Int) {
    precondition(width > 0 && leaves.count % width == 0, "whole leaves")
    var hasher = SHA256.Hasher()
    let count = leaves.count / width
    let digests = [UInt8](unsafeUninitializedCapacity: 32 * count) { buffer, filled in
      leaves.withUnsafeBytes { bytes in
        for leaf in 0..<count {
          hasher.update([0])
          hasher.update(UnsafeRawBufferPointer(rebasing: bytes[leaf * width..<(leaf + 1) * width]))
          hasher.finalize(
            into: UnsafeMutableRawBufferPointer(
              UnsafeMutableBufferPointer(rebasing: buffer[32 * leaf..<32 * leaf + 32])))
        }
      }
      filled = 32 * count
    }
    self.init(leafDigests: digests)
  }

  /// A tree whose levels were computed elsewhere, the leaves' first and the root's last; a level is
  /// digests, one after the other.
  init(levels: [[UInt8]]) { self.levels = levels }

  /// How many nodes each level of a tree over `count` leaves has, the leaves' first.
  static func levelCounts(_ count: Int) -> [Int] {
    var counts = [count]
    while let last = counts.last, last > 1 { counts.append((last + 1) / 2) }
    return counts
  }

  /// A tree over the digests of leaves, as ``leafDigest(of:)`` makes them.
  init(leafDigests: [UInt8]) {
    levels = [leafDigests]
    var hasher = SHA256.Hasher()
    while let below = levels.last, below.count > 32 {
      let pairs = below.count / 64
      var level = [UInt8](repeating: 0, count: 32 * pairs)
      below.withUnsafeBytes { bytes in
        level.withUnsafeMutableBytes { out in
          for pair in 0..<pairs {
            hasher.update([1])
            hasher.update(UnsafeRawBufferPointer(rebasing: bytes[64 * pair..<64 * pair + 64]))
            hasher.finalize(
              into: UnsafeMutableRawBufferPointer(rebasing: out[32 * pair..<32 * pair + 32]))
          }
        }
      }
      // A node without a partner moves up as it is, which gives RFC 6962's tree.
      if below.count % 64 != 0 { level += below.suffix(32) }
      levels.append(level)
    }
  }

  /// How many leaves there are.
  var count: Int { (levels.first?.count ?? 0) / 32 }

  /// The root; of no leaves the digest of nothing.
  var root: Digest {
    levels.last.flatMap { Digest(bytes: $0) } ?? SHA256.digest(of: [UInt8]())
  }

  /// The digests beside the way from leaf `index` to the root.
  func path(to index: Int) -> [Digest] {
    var (path, index): ([Digest], Int) = ([], index)
    for level in levels.dropLast() {
      let start = 32 * (index ^ 1)
      if start < level.count, let digest = Digest(bytes: level[start..<start + 32]) {
        path.append(digest)
      }
      index >>= 1
    }
    return path
  }

  /// The digest of a leaf.
  static func leafDigest(of bytes: [UInt8]) -> Digest { SHA256.digest(of: [0] + bytes) }

  private static func node(_ left: Digest, _ right: Digest) -> Digest {
    SHA256.digest(of: [1] + left.bytes + right.bytes)
  }

  /// True where `path` leads from a leaf at `index` of `count` to `root` (RFC 9162, 2.1.3.2).
  static func isValid(
    _ path: [Digest], leaf: Digest, index: Int, count: Int, root: Digest
  ) -> Bool {
    guard index >= 0, index < count else { return false }
    var (first, last, digest) = (index, count - 1, leaf)
    for sibling in path {
      guard last > 0 else { return false }
      if first & 1 == 1 || first == last {
        digest = node(sibling, digest)
        while first & 1 == 0, first != 0 {
          first >>= 1
          last >>= 1
        }
      } else {
        digest = node(digest, sibling)
      }
      first >>= 1
      last >>= 1
    }
    return last == 0 && digest == root
  }
}
